#include "analytics/field.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/engine.h"

namespace millrace::analytics {

namespace {

// Who asks, as site owners think of it. Crawlers that the list does not know count as people.
constexpr std::string_view kind_sql =
    "CASE WHEN bot IS NULL THEN 'human' WHEN bot_category = 'search' THEN 'search' "
    "WHEN bot_category IN ('ai_crawler', 'ai_search', 'ai_assistant') THEN 'ai' ELSE 'other' END";

constexpr std::string_view status_class_sql =
    "CASE WHEN status IS NOT NULL THEN (status // 100)::VARCHAR || 'xx' END";

Field text(std::string_view column, bool has_few_values = false) {
  return {.name = column, .columns = {column}, .sql = column, .has_few_values = has_few_values};
}

const std::vector<Field>& fields() {
  static const std::vector<Field> all = {
      text("path"),
      text("user_agent"),
      {.name = "status", .kind = Field::Kind::status, .columns = {"status"}, .sql = "status"},
      {.name = "status_class",
       .columns = {"status"},
       .sql = status_class_sql,
       .has_few_values = true},
      {.name = "kind", .columns = {"bot", "bot_category"}, .sql = kind_sql, .has_few_values = true},
      text("bot"),
      text("bot_operator"),
      text("bot_category", true),
      text("referrer"),
      text("host"),
      text("method"),
      text("country"),
      text("protocol"),
      text("client_ip"),
      text("query"),
      {.name = "site", .columns = {}, .sql = "site"},
  };
  return all;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "404" or "4xx".
Result<void> check_status(std::string_view value) {
  const bool is_class = value.size() == 3 && value.ends_with("xx") && is_digits(value.substr(0, 1));
  if (value.empty() || is_class || (value.size() == 3 && is_digits(value))) return {};
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a status (want e.g. 404 or 4xx)", value));
}

struct Symbol {
  std::string_view text;
  Comparison comparison;
};

// In the order in which they are looked for: "!=" holds a "=".
constexpr Symbol symbols[] = {{"!=", Comparison::different},
                              {"^=", Comparison::starts_with},
                              {"*=", Comparison::contains},
                              {"=", Comparison::equal}};

}  // namespace

const Field* find_field(std::string_view name) {
  const auto found =
      std::ranges::find_if(fields(), [&](const Field& field) { return field.name == name; });
  return found == fields().end() ? nullptr : &*found;
}

std::string field_names(bool with_few_values_only) {
  std::string names;
  for (const Field& field : fields()) {
    if (with_few_values_only && !field.has_few_values) continue;
    names += (names.empty() ? "" : ", ") + std::string(field.name);
  }
  return names;
}

std::string Filter::sql() const {
  const std::string_view name = field->sql;
  const bool is_class = field->kind == Field::Kind::status && value.ends_with("xx");
  std::string condition;
  if (value.empty()) {
    condition = fmt::format("({} IS NULL OR ({})::VARCHAR = '')", name, name);
  } else if (is_class) {
    condition = fmt::format("{} // 100 = {}", name, value.front());
  } else if (field->kind == Field::Kind::status) {
    condition = fmt::format("{} = {}", name, value);
  } else if (comparison == Comparison::starts_with) {
    condition = fmt::format("starts_with({}, {})", name, sql::quote_text(value));
  } else if (comparison == Comparison::contains) {
    condition = fmt::format("contains({}, {})", name, sql::quote_text(value));
  } else {
    condition = fmt::format("{} = {}", name, sql::quote_text(value));
  }
  // A record without a value is different from any.
  if (comparison != Comparison::different) return fmt::format("({})", condition);
  return fmt::format("NOT coalesce({}, false)", condition);
}

Result<Filter> parse_filter(std::string_view text) {
  const std::size_t mark = text.find_first_of("!^*=");
  const auto symbol = std::ranges::find_if(symbols, [&](const Symbol& candidate) {
    return mark != std::string_view::npos && text.substr(mark).starts_with(candidate.text);
  });
  if (symbol == std::end(symbols)) {
    return fail(Errc::invalid_argument,
                fmt::format("filter: \"{}\" is not a condition (want FIELD=VALUE, FIELD!=VALUE, "
                            "FIELD^=START or FIELD*=PART)",
                            text));
  }
  Filter filter{.field = find_field(text.substr(0, mark)),
                .comparison = symbol->comparison,
                .value = std::string(text.substr(mark + symbol->text.size()))};
  if (filter.field == nullptr) {
    return fail(Errc::invalid_argument, fmt::format("filter: \"{}\" is not a field (there are {})",
                                                    text.substr(0, mark), field_names()));
  }
  if (filter.field->kind != Field::Kind::status) return filter;
  if (const auto checked = check_status(filter.value); !checked) {
    return fail(Errc::invalid_argument, "filter: " + checked.error().message);
  }
  const bool is_of_text =
      filter.comparison == Comparison::starts_with || filter.comparison == Comparison::contains;
  if (!is_of_text) return filter;
  return fail(Errc::invalid_argument, "filter: a status is compared by = or !=");
}

}  // namespace millrace::analytics
