#include "query/result_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace millrace::query {

namespace {

using sql::ResultColumn;
using sql::ResultRow;
using sql::ValueKind;

// The character at the start of `text`, and its length there; bytes that are not UTF-8 count one by
// one.
struct Character {
  std::uint32_t code;
  std::size_t size;
};

Character character_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t first = byte(0);
  const std::size_t size = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (size == 1 || text.size() < size) return {first, 1};
  std::uint32_t code = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {first, 1};
    code = code << 6 | (byte(i) & 0x3FU);
  }
  return {code, size};
}

struct CodeRange {
  std::uint32_t first;
  std::uint32_t last;
};

// Combining marks and joiners; East Asian scripts and pictures. The common ones, not all of
// Unicode.
constexpr CodeRange narrow_ranges[] = {{0x300, 0x36F}, {0x200B, 0x200F}, {0xFE00, 0xFE0F}};
constexpr CodeRange wide_ranges[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                                     {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                                     {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                                     {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

template <std::size_t count>
bool is_in(const CodeRange (&ranges)[count], std::uint32_t code) {
  return std::any_of(std::begin(ranges), std::end(ranges), [code](const CodeRange& range) {
    return code >= range.first && code <= range.last;
  });
}

// How many columns of a terminal text takes.
std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = character_at(text);
    if (!is_in(narrow_ranges, character.code)) width += is_in(wide_ranges, character.code) ? 2 : 1;
    text.remove_prefix(character.size);
  }
  return width;
}

// Control characters would move the terminal's cursor, or worse: logs hold what strangers sent.
std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = character_at(text);
    const bool is_control =
        character.code < 0x20 || (character.code >= 0x7F && character.code < 0xA0);
    if (is_control)
      out += fmt::format("\\x{:02X}", character.code);
    else
      out += text.substr(0, character.size);
    text.remove_prefix(character.size);
  }
  return out;
}

class TableSink final : public FormattedSink {
 public:
  explicit TableSink(TextOutput output) : output_(std::move(output)) {}

  void columns(const std::vector<ResultColumn>& columns) override {
    columns_ = columns;
    for (const ResultColumn& column : columns) widths_.push_back(width_of(column.name));
  }

  bool row(const ResultRow& row) override {
    std::vector<std::string> cells;
    for (const auto& value : row) cells.push_back(value ? printable(*value) : "NULL");
    ++count_;
    if (is_header_out_) return output_(line(cells, true));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], width_of(cells[i]));
    }
    rows_.push_back(std::move(cells));
    return rows_.size() < measured_rows_max || flush();
  }

  void finish() override {
    if (!is_header_out_) flush();
    output_(fmt::format("({} row{})\n", count_, count_ == 1 ? "" : "s"));
  }

 private:
  // The widths of the columns follow from the first rows, so that a result of any size fits.
  static constexpr std::size_t measured_rows_max = 1000;

  bool flush() {
    std::vector<std::string> names;
    for (const ResultColumn& column : columns_) names.push_back(column.name);
    std::string text = line(names, false);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      text += (i > 0 ? "  " : "") + std::string(widths_[i], '-');
    }
    text += '\n';
    for (const auto& cells : rows_) text += line(cells, true);
    rows_.clear();
    is_header_out_ = true;
    return output_(text);
  }

  std::string line(const std::vector<std::string>& cells, bool aligns_numbers) const {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::size_t width = width_of(cells[i]);
      const std::string padding(widths_[i] > width ? widths_[i] - width : 0, ' ');
      const bool is_right = aligns_numbers && columns_[i].kind == ValueKind::number;
      if (i > 0) text += "  ";
      text += is_right ? padding + cells[i] : cells[i] + padding;
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text += '\n';
  }

  TextOutput output_;
  std::vector<ResultColumn> columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;  // Not written yet.
  std::size_t count_ = 0;
  bool is_header_out_ = false;
};

class CsvSink final : public FormattedSink {
 public:
  explicit CsvSink(TextOutput output) : output_(std::move(output)) {}

  void columns(const std::vector<ResultColumn>& columns) override {
    ResultRow names;
    for (const ResultColumn& column : columns) names.emplace_back(column.name);
    row(names);
  }

  bool row(const ResultRow& row) override {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += ',';
      if (row[i]) text += field(*row[i]);
    }
    text += "\r\n";
    return output_(text);
  }

  void finish() override {}

 private:
  static std::string field(const std::string& text) {
    if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"') quoted += '"';
      quoted += c;
    }
    return quoted += '"';
  }

  TextOutput output_;
};

class JsonSink final : public FormattedSink {
 public:
  JsonSink(TextOutput output, bool is_array) : output_(std::move(output)), is_array_(is_array) {}

  void columns(const std::vector<ResultColumn>& columns) override { columns_ = columns; }

  bool row(const ResultRow& row) override {
    std::string text = is_array_ ? (count_ == 0 ? "[\n" : ",\n") : "";
    ++count_;
    text += '{';
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += ',';
      text += json_text(columns_[i].name) + ':' + value(row[i], columns_[i].kind);
    }
    text += is_array_ ? "}" : "}\n";
    return output_(text);
  }

  void finish() override {
    if (is_array_) output_(count_ == 0 ? "[]\n" : "\n]\n");
  }

 private:
  static std::string json_text(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  static std::string value(const std::optional<std::string>& value, ValueKind kind) {
    if (!value) return "null";
    // JSON has no words for these numbers.
    const bool is_finite = value->find_first_not_of("+-.0123456789eE") == std::string::npos;
    if (kind == ValueKind::number) return is_finite ? *value : json_text(*value);
    if (kind == ValueKind::boolean || kind == ValueKind::json) return *value;
    return json_text(*value);
  }

  TextOutput output_;
  const bool is_array_;
  std::vector<ResultColumn> columns_;
  std::size_t count_ = 0;
};

}  // namespace

Result<ResultFormat> parse_result_format(std::string_view text) {
  if (text == "table") return ResultFormat::table;
  if (text == "csv") return ResultFormat::csv;
  if (text == "json") return ResultFormat::json;
  if (text == "ndjson") return ResultFormat::ndjson;
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a format (want table, csv, json or ndjson)", text));
}

std::unique_ptr<FormattedSink> format_result(ResultFormat format, TextOutput output) {
  switch (format) {
    case ResultFormat::table: return std::make_unique<TableSink>(std::move(output));
    case ResultFormat::csv: return std::make_unique<CsvSink>(std::move(output));
    case ResultFormat::json: return std::make_unique<JsonSink>(std::move(output), true);
    case ResultFormat::ndjson: return std::make_unique<JsonSink>(std::move(output), false);
  }
  return nullptr;
}

}  // namespace millrace::query
