#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "record/batch_sink.h"
#include "record/utf8.h"

namespace millrace::record {
namespace {

// Rows of RFC 4180: quotes may hold commas, line breaks and doubled quotes.
class CsvRows {
 public:
  explicit CsvRows(std::string_view text) : text_(text) {}

  // Reads the next row that is not blank into fields(); false at the end.
  bool next() {
    while (at_ < text_.size()) {
      const std::size_t begin = at_;
      fault_ = {};
      fields_.clear();
      read_row();
      row_ = text_.substr(begin, at_ - begin);
      while (!row_.empty() && (row_.back() == '\n' || row_.back() == '\r')) row_.remove_suffix(1);
      if (!row_.empty()) return true;
    }
    return false;
  }

  const std::vector<std::string>& fields() const { return fields_; }
  std::string_view row() const { return row_; }
  // What is wrong with the row; empty: nothing.
  std::string_view fault() const { return fault_; }
  // Where a quote stands that is never closed: what rows there are behind it, nobody can say.
  std::optional<std::size_t> open_quote_at() const { return open_quote_at_; }

 private:
  void read_row() {
    while (true) {
      fields_.push_back(read_field());
      if (at_ == text_.size()) return;
      const char separator = text_[at_++];
      if (separator == '\n') return;
    }
  }

  std::string read_field() {
    std::string bytes;
    if (at_ < text_.size() && text_[at_] == '"') {
      read_quoted(bytes);
    } else {
      const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
      std::string_view plain = text_.substr(at_, end - at_);
      if (plain.ends_with('\r') && (end == text_.size() || text_[end] == '\n'))
        plain.remove_suffix(1);
      bytes = plain;
      at_ = end;
    }
    std::string field;
    append_with_escaped_bytes(field, bytes);
    return field;
  }

  void read_quoted(std::string& out) {
    const std::size_t opened_at = at_++;
    while (true) {
      const std::size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) {
        out += text_.substr(at_);
        open_quote_at_ = opened_at;
        at_ = text_.size();
        return;
      }
      out += text_.substr(at_, quote - at_);
      at_ = quote + 1;
      if (at_ < text_.size() && text_[at_] == '"') {
        out += '"';
        ++at_;
        continue;
      }
      break;
    }
    const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
    const std::string_view behind = text_.substr(at_, end - at_);
    if (!behind.empty() && behind != "\r") fault_ = "text behind a closing quote";
    at_ = end;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> fields_;
  std::string_view row_;
  std::string_view fault_;
  std::optional<std::size_t> open_quote_at_;
};

}  // namespace

std::optional<DecodeFailure> read_csv(std::string_view body, BatchSink& sink) {
  CsvRows rows(body);
  const auto malformed = [](std::string message, std::size_t byte_offset = 0) {
    return DecodeFailure{DecodeFailure::Kind::malformed, std::move(message), byte_offset};
  };
  const auto never_closed = [&](std::size_t byte_offset) {
    return malformed("the body is not CSV: a quote is never closed", byte_offset);
  };
  if (!rows.next()) return malformed("the body is empty (want a CSV header row)");
  if (const auto at = rows.open_quote_at()) return never_closed(*at);
  if (!rows.fault().empty()) return malformed(fmt::format("CSV header row: {}", rows.fault()));
  const std::vector<std::string> names = rows.fields();
  const bool is_header = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return find_alias(name) != nullptr;
  });
  if (!is_header) {
    return malformed("the first CSV row must be a header; none of its names is known");
  }
  for (const Column column : {Column::timestamp, Column::path}) {
    const bool is_there = std::any_of(names.begin(), names.end(), [column](const auto& name) {
      const Alias* alias = find_alias(name);
      return alias != nullptr && alias->column == column;
    });
    if (!is_there) {
      return malformed(fmt::format("the CSV header row has no {} (any of {})", name_of(column),
                                   alias_list(column)));
    }
  }
  while (rows.next()) {
    if (const auto at = rows.open_quote_at()) return never_closed(*at);
    if (!sink.begin()) return DecodeFailure{DecodeFailure::Kind::too_many_records, {}, {}};
    if (!rows.fault().empty()) {
      sink.refuse(rows.row(), std::string(rows.fault()));
    } else if (rows.fields().size() != names.size()) {
      sink.refuse(rows.row(), fmt::format("{} fields, the header row has {}", rows.fields().size(),
                                          names.size()));
    } else {
      for (std::size_t i = 0; i < names.size(); ++i) {
        sink.assembler().add_text(names[i], rows.fields()[i]);
      }
      sink.end(rows.row());
    }
  }
  return std::nullopt;
}

}  // namespace millrace::record
