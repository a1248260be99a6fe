#include "query/result_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace millrace::query {

namespace {

using sql::ResultColumn;
using sql::ResultRow;
using sql::ValueKind;

// How many columns of a terminal text takes, as fmt counts them when it pads.
std::size_t width_of(std::string_view text) {
  return 2 * text.size() - fmt::formatted_size("{:{}}", text, text.size());
}

// Control characters would move the terminal's cursor, or worse: logs hold what strangers sent.
std::string printable(std::string_view text, bool keeps_lines = false) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\0');
    if (byte == '\n' && keeps_lines) {
      out += '\n';
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02X}", byte);
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080 to U+009F.
      out += fmt::format("\\x{:02X}", next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

class TableSink final : public FormattedSink {
 public:
  explicit TableSink(TextOutput output) : output_(std::move(output)) {}

  void columns(const std::vector<ResultColumn>& columns) override {
    columns_ = columns;
    for (const ResultColumn& column : columns) widths_.push_back(width_of(column.name));
    is_plan_ = columns.size() == 2 && columns[0].name == "explain_key";
  }

  bool row(const ResultRow& row) override {
    if (is_plan_) return output_(printable(row[1].value_or(""), true) + "\n");
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
    if (is_plan_) return;
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
      const bool is_right = aligns_numbers && columns_[i].kind == ValueKind::number;
      if (i > 0) text += "  ";
      text += is_right ? fmt::format("{:>{}}", cells[i], widths_[i])
                       : fmt::format("{:<{}}", cells[i], widths_[i]);
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
  bool is_plan_ = false;  // Of EXPLAIN: text that is laid out already.
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
