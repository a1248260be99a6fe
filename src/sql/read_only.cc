#include "sql/read_only.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

namespace millrace::sql {

namespace {

using nlohmann::json;

// They write files, change settings, take addresses, or run SQL that the check would not see.
constexpr std::array<std::string_view, 12> refused_functions = {
    "arrow_scan",      "arrow_scan_dumb", "checkpoint",       "copy_database",
    "disable_logging", "enable_logging",  "force_checkpoint", "json_execute_serialized_sql",
    "query",           "query_table",     "seq_scan",         "truncate_duckdb_logs"};

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Behind the block comment that `text` starts with. They nest, as in PostgreSQL.
std::string_view skip_comment(std::string_view text) {
  int depth = 0;
  do {
    const bool opens = text.starts_with("/*");
    const bool closes = text.starts_with("*/");
    depth += opens ? 1 : closes ? -1 : 0;
    text.remove_prefix(opens || closes ? 2 : 1);
  } while (depth > 0 && !text.empty());
  return text;
}

std::string_view skip_blanks(std::string_view text) {
  while (!text.empty()) {
    if (std::isspace(static_cast<unsigned char>(text.front()))) {
      text.remove_prefix(1);
    } else if (text.starts_with("--")) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (text.starts_with("/*")) {
      text = skip_comment(text);
    } else {
      break;
    }
  }
  return text;
}

// What follows `word`, in any case, at the start of `text`; nothing where it is not there.
std::optional<std::string_view> after_word(std::string_view text, std::string_view word) {
  text = skip_blanks(text);
  const bool is_there =
      text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(),
                                               [](char a, char b) { return a == lower(b); });
  if (!is_there) return std::nullopt;
  text.remove_prefix(word.size());
  if (!text.empty() && is_word_character(text.front())) return std::nullopt;
  return text;
}

// The first table function of a syntax tree that is refused; empty: none.
std::string refused_function(const json& node) {
  if (!node.is_structured()) return {};
  if (node.is_object() && node.value("type", json()) == "TABLE_FUNCTION") {
    std::string name = node.value(json::json_pointer("/function/function_name"), std::string());
    std::transform(name.begin(), name.end(), name.begin(), lower);
    const auto& refused = refused_functions;
    if (std::find(refused.begin(), refused.end(), name) != refused.end()) return name;
  }
  for (const json& child : node) {
    if (std::string name = refused_function(child); !name.empty()) return name;
  }
  return {};
}

}  // namespace

std::string_view explained_statement(std::string_view sql) {
  const auto explained = after_word(sql, "explain");
  if (!explained) return sql;
  return after_word(*explained, "analyze").value_or(*explained);
}

Result<void> check_reads_only(const std::string& serialized) {
  const json tree = json::parse(serialized, nullptr, false);
  if (!tree.is_object() || tree.value("error", true)) {
    if (tree.is_object() && tree.value("error_type", "") == "parser") {
      return fail(Errc::invalid_argument,
                  "Parser Error: " + tree.value("error_message", std::string()));
    }
    return fail(Errc::invalid_argument,
                "Permission Error: only reading is allowed here (SELECT, DESCRIBE, SUMMARIZE, SHOW "
                "TABLES, or EXPLAIN of one of them)");
  }
  const std::string function = refused_function(tree);
  if (function.empty()) return {};
  return fail(Errc::invalid_argument,
              fmt::format("Permission Error: {}() is not allowed here", function));
}

}  // namespace millrace::sql
