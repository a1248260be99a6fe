#include "record/canonical.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/time_text.h"
#include "record/fields.h"
#include "record/json_text.h"
#include "record/utf8.h"

namespace millrace::record {
namespace {

// Appends `,"name":`, in one piece for speed.
template <std::size_t size>
void append_key(std::string& out, const char (&key)[size]) {
  out.append(key, size - 1);
}

template <std::size_t size>
void append_text(std::string& out, const char (&key)[size],
                 const std::optional<std::string_view>& value) {
  if (!value) return;
  append_key(out, key);
  append_json_string(out, *value);
}

template <std::size_t size, typename Integer>
void append_number(std::string& out, const char (&key)[size], const std::optional<Integer>& value) {
  if (!value) return;
  append_key(out, key);
  const fmt::format_int digits(*value);
  out.append(digits.data(), digits.size());
}

void append_attributes(std::string& out, const Attributes& attributes) {
  if (attributes.empty()) return;
  append_key(out, R"(,"attributes":)");
  char separator = '{';
  for (const auto& [name, value] : attributes) {
    out += separator;
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
    separator = ',';
  }
  out += '}';
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

}  // namespace

void append_canonical(std::string& out, const Record& record) {
  append_key(out, R"({"timestamp":")");
  append_rfc3339(out, record.timestamp);
  out += '"';
  append_text(out, R"(,"site":)", record.site);
  append_key(out, R"(,"path":)");
  append_json_string(out, record.path);
  append_text(out, R"(,"query":)", record.query);
  append_text(out, R"(,"method":)", record.method);
  append_text(out, R"(,"host":)", record.host);
  append_text(out, R"(,"referrer":)", record.referrer);
  append_text(out, R"(,"user_agent":)", record.user_agent);
  append_text(out, R"(,"client_ip":)", record.client_ip);
  append_text(out, R"(,"protocol":)", record.protocol);
  append_text(out, R"(,"country":)", record.country);
  append_number(out, R"(,"status":)", record.status);
  append_number(out, R"(,"bytes":)", record.bytes);
  append_number(out, R"(,"duration_us":)", record.duration_us);
  append_attributes(out, record.attributes);
  append_key(out, "}\n");
}

// A parser for just this: flat objects of known keys. Each take_ function moves `at_` behind what
// it read; false: problem_ says what was wrong at at_.
struct CanonicalReader::Impl {
  std::string_view rest_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::optional<std::size_t> invalid_utf8_at_;  // In rest_.

  Record record_;
  std::uint32_t columns_seen_ = 0;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::string_view problem_;
  // The strings of the line whose escapes had to be undone.
  std::string unescaped_;

  void reset(std::string_view ndjson);
  bool take_line();
  Result<const Record*> read_line();

  bool complain(std::string_view problem) {
    problem_ = problem;
    return false;
  }
  void skip_blanks() {
    while (at_ != end_ && is_blank(*at_)) ++at_;
  }
  bool take(char c) {
    if (at_ != end_ && *at_ == c) [[likely]] {
      ++at_;
      return true;
    }
    skip_blanks();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool take_string(std::string_view& text);
  bool take_escaped_string(const char* begin, std::string_view& text);
  bool take_null();
  template <typename Integer>
  bool take_integer(std::optional<Integer>& number);
  bool take_timestamp();
  bool take_attributes();
  bool take_value(Column column);
  bool take_member();
  bool take_object();
};

void CanonicalReader::Impl::reset(std::string_view ndjson) {
  rest_ = ndjson;
  line_ = {};
  line_number_ = 0;
  invalid_utf8_at_ = find_invalid_utf8(ndjson);
}

// Sets line_ to the next line that is not blank.
bool CanonicalReader::Impl::take_line() {
  while (!rest_.empty()) {
    const std::size_t newline = rest_.find('\n');
    const bool is_last = newline == std::string_view::npos;
    line_ = rest_.substr(0, newline);
    rest_.remove_prefix(is_last ? rest_.size() : newline + 1);
    ++line_number_;
    if (!std::all_of(line_.begin(), line_.end(), is_blank)) return true;
  }
  line_ = {};
  return false;
}

bool CanonicalReader::Impl::take_string(std::string_view& text) {
  if (!take('"')) return complain("expected a string");
  const char* const stop = find_json_special(at_, end_);
  if (stop == end_) return complain("a string that does not end");
  if (*stop == '\\') return take_escaped_string(at_, text);
  if (*stop != '"') return complain("a control character in a string");
  text = {at_, static_cast<std::size_t>(stop - at_)};
  at_ = stop + 1;
  return true;
}

bool CanonicalReader::Impl::take_escaped_string(const char* begin, std::string_view& text) {
  const char* stop = find_json_special(begin, end_);
  while (stop != end_ && *stop == '\\' && end_ - stop > 1) stop = find_json_special(stop + 2, end_);
  if (stop == end_ || *stop != '"') return complain("a string that does not end");

  const std::string_view raw(begin, static_cast<std::size_t>(stop - begin));
  const std::size_t offset = unescaped_.size();
  // No escape is shorter than what it stands for, so the strings of a line fit the line's size, and
  // those read before stay where they are.
  if (unescaped_.capacity() < line_.size()) unescaped_.reserve(line_.size());
  MR_ASSERT(offset + raw.size() <= unescaped_.capacity());
  unescaped_.resize(offset + raw.size());
  char* const out = unescaped_.data() + offset;
  const char* const out_end = unescape_json(raw, out);
  if (out_end == nullptr) return complain("an escape that JSON does not know");
  text = {out, static_cast<std::size_t>(out_end - out)};
  unescaped_.resize(offset + text.size());
  at_ = stop + 1;
  return true;
}

bool CanonicalReader::Impl::take_null() {
  constexpr std::string_view null = "null";
  if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, 4) != null)
    return false;
  at_ += null.size();
  return true;
}

template <typename Integer>
bool CanonicalReader::Impl::take_integer(std::optional<Integer>& number) {
  Integer value = 0;
  const auto [stop, error] = std::from_chars(at_, end_, value);
  if (error == std::errc::result_out_of_range) return complain("a number that is too large");
  const std::string_view text(at_, static_cast<std::size_t>(stop - at_));
  if (error != std::errc() || !is_json_number(text)) return complain("expected a whole number");
  number = value;
  at_ = stop;
  return true;
}

bool CanonicalReader::Impl::take_timestamp() {
  std::string_view text;
  if (!take_string(text)) return false;
  const auto time = parse_rfc3339(text);
  if (!time) return complain("a timestamp that is not RFC 3339");
  record_.timestamp = *time;
  return true;
}

bool CanonicalReader::Impl::take_attributes() {
  if (!take('{')) return complain("expected an object of strings");
  if (take('}')) return true;
  bool is_sorted = true;
  do {
    std::string_view name;
    std::string_view value;
    if (!take_string(name)) return false;
    if (!take(':')) return complain("expected ':'");
    skip_blanks();
    if (!take_string(value)) return false;
    if (!record_.attributes.empty() && record_.attributes.back().first >= name) is_sorted = false;
    record_.attributes.emplace_back(name, value);
  } while (take(','));
  if (!take('}')) return complain("expected ',' or '}'");
  if (is_sorted) return true;

  const auto by_name = [](const auto& a, const auto& b) { return a.first < b.first; };
  const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
  std::sort(record_.attributes.begin(), record_.attributes.end(), by_name);
  const auto twin =
      std::adjacent_find(record_.attributes.begin(), record_.attributes.end(), same_name);
  return twin == record_.attributes.end() || complain("an attribute that is there twice");
}

bool CanonicalReader::Impl::take_value(Column column) {
  switch (column) {
    case Column::timestamp: return take_timestamp();
    case Column::path: return take_string(record_.path);
    case Column::status: return take_integer(record_.status);
    case Column::bytes: return take_integer(record_.bytes);
    case Column::duration_us: return take_integer(record_.duration_us);
    case Column::attributes: return take_attributes();
    default: break;
  }
  std::string_view text;
  if (!take_string(text)) return false;
  record_.*text_member(column) = text;
  return true;
}

bool CanonicalReader::Impl::take_member() {
  std::string_view key;
  if (!take_string(key)) return false;
  const auto column = column_of(key);
  if (!column) return complain("a key that is no column");
  if (!take(':')) return complain("expected ':'");
  skip_blanks();
  const std::uint32_t bit = 1U << index_of(*column);
  if ((columns_seen_ & bit) != 0) return complain("a key that is there twice");
  if (at_ != end_ && *at_ == 'n') {
    return take_null() || complain("expected a value");
  }
  columns_seen_ |= bit;
  return take_value(*column);
}

bool CanonicalReader::Impl::take_object() {
  if (!take('{')) return complain("expected '{'");
  if (!take('}')) {
    do {
      if (!take_member()) return false;
    } while (take(','));
    if (!take('}')) return complain("expected ',' or '}'");
  }
  skip_blanks();
  if (at_ != end_) return complain("text behind the record");
  constexpr std::uint32_t required =
      1U << index_of(Column::timestamp) | 1U << index_of(Column::path);
  return (columns_seen_ & required) == required || complain("no timestamp or no path");
}

Result<const Record*> CanonicalReader::Impl::read_line() {
  // Not `record_ = {}`: the attributes' memory is worth keeping.
  Attributes attributes = std::move(record_.attributes);
  attributes.clear();
  record_ = {};
  record_.attributes = std::move(attributes);
  columns_seen_ = 0;
  unescaped_.clear();
  at_ = line_.data();
  end_ = at_ + line_.size();
  if (invalid_utf8_at_ && find_invalid_utf8(line_)) [[unlikely]] {
    at_ += *find_invalid_utf8(line_);
    problem_ = "bytes that are not UTF-8";
  } else if (take_object()) {
    return &record_;
  }
  return fail(Errc::corrupt,
              fmt::format("line {}, byte {}: {}", line_number_, at_ - line_.data(), problem_));
}

CanonicalReader::CanonicalReader() : impl_(std::make_unique<Impl>()) {}
CanonicalReader::~CanonicalReader() = default;

void CanonicalReader::reset(std::string_view ndjson) { impl_->reset(ndjson); }

Result<const Record*> CanonicalReader::next() {
  if (!impl_->take_line()) return nullptr;
  return impl_->read_line();
}

std::string_view CanonicalReader::line() const { return impl_->line_; }

}  // namespace millrace::record
