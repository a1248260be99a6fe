#include "shipper/batch_reader.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace millrace::shipper {

namespace {

// Longer than any record that the API takes: more without an end of record is not this format.
constexpr std::size_t record_size_bytes_max = 16 * 1024 * 1024;
constexpr std::string_view blanks = " \t\r\n";
constexpr std::string_view gzip_magic = "\x1F\x8B";  // RFC 1952, section 2.3.1.
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

constexpr std::array<std::pair<std::string_view, InputFormat>, 4> format_names = {{
    {"combined", InputFormat::combined},
    {"json", InputFormat::json},
    {"ndjson", InputFormat::ndjson},
    {"csv", InputFormat::csv},
}};

bool is_blank_line(std::string_view line) {
  return line.find_first_not_of(blanks) == std::string_view::npos;
}

}  // namespace

Result<InputFormat> parse_input_format(std::string_view text) {
  for (const auto& [name, format] : format_names) {
    if (name == text) return format;
  }
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a format (want combined, json, ndjson or csv)", text));
}

BatchReader::BatchReader(std::unique_ptr<ByteSource> source, std::string name, InputFormat format,
                         BatchLimits limits)
    : source_(std::move(source)), name_(std::move(name)), format_(format), limits_(limits) {}

Result<std::optional<InputBatch>> BatchReader::next(const std::atomic<bool>& stop) {
  InputBatch batch;
  batch.offset_bytes = offset_bytes_;
  bool paused = false;
  while (true) {
    if (format_ == InputFormat::detect) MR_TRY(detect_format());
    bool full = false;
    if (format_ == InputFormat::json) {
      MR_TRY_ASSIGN(full, take_elements(batch));
    } else if (format_ != InputFormat::detect) {
      bool ready = true;
      if (format_ == InputFormat::csv && csv_header_.empty()) {
        MR_TRY_ASSIGN(ready, take_csv_header());
      }
      full = ready && take_lines(batch);
    }
    const bool ends = full || at_end_ || (paused && (batch.record_count > 0 || stop));
    if (ends) break;
    MR_TRY_ASSIGN(const Fill filled, fill());
    at_end_ = filled == Fill::end;
    paused = filled == Fill::paused;
  }
  if (batch.record_count == 0) return std::nullopt;
  if (format_ == InputFormat::json) batch.body.back() = ']';
  return batch;
}

Result<BatchReader::Fill> BatchReader::fill() {
  // What has been handed out goes only now, so that the buffer moves once a read, not once a batch.
  buffer_.erase(0, std::exchange(consumed_, 0));
  if (buffer_.size() > record_size_bytes_max + limits_.size_bytes_max) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: no end of a record within {} bytes from byte {}: is it really this "
                    "format? (see --format)",
                    name_, buffer_.size(), offset_bytes_));
  }
  MR_TRY_ASSIGN(const auto outcome, source_->read(buffer_, limits_.pause));
  switch (outcome) {
    case ByteSource::Outcome::some: return Fill::more;
    case ByteSource::Outcome::none_yet: return Fill::paused;
    case ByteSource::Outcome::end: return Fill::end;
  }
  return Fill::end;
}

// By the first byte that is not blank: a JSON array, JSON lines, or else lines of a log.
Result<void> BatchReader::detect_format() {
  if (offset_bytes_ == 0 && std::string_view(buffer_).starts_with(byte_order_mark)) {
    consume(byte_order_mark.size());
  } else if (!at_end_ && offset_bytes_ == 0 && byte_order_mark.starts_with(buffer_)) {
    return {};
  }
  const auto first = buffer_.find_first_not_of(blanks, consumed_);
  if (first == std::string::npos) return {};
  if (std::string_view(buffer_).starts_with(gzip_magic)) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: the input is gzip: give the file's name instead, or `zcat FILE | "
                            "millrace send -`",
                            name_));
  }
  if (name_.ends_with(".csv") || name_.ends_with(".csv.gz")) {
    format_ = InputFormat::csv;
  } else if (buffer_[first] == '[') {
    format_ = InputFormat::json;
  } else if (buffer_[first] == '{') {
    format_ = InputFormat::ndjson;
  } else {
    format_ = InputFormat::combined;
  }
  return {};
}

// False: not all of it has been read yet.
Result<bool> BatchReader::take_csv_header() {
  const std::size_t end = record_end(consumed_);
  if (end == std::string::npos) return false;
  csv_header_ = buffer_.substr(consumed_, end - consumed_);
  if (csv_header_.empty() || csv_header_.back() != '\n') csv_header_ += '\n';
  consume(end - consumed_);
  return true;
}

// The end of the line, or CSV row with its quoted line breaks, that starts at `begin`; npos where
// the buffer does not hold all of it.
std::size_t BatchReader::record_end(std::size_t begin) const {
  std::size_t end = buffer_.find('\n', begin);
  if (format_ == InputFormat::csv) {
    bool quoted = false;
    for (end = begin; end < buffer_.size() && (quoted || buffer_[end] != '\n'); ++end) {
      if (buffer_[end] == '"') quoted = !quoted;
    }
    if (end == buffer_.size()) end = std::string::npos;
  }
  if (end != std::string::npos) return end + 1;
  return at_end_ && begin < buffer_.size() ? buffer_.size() : std::string::npos;
}

// True: the batch is full.
bool BatchReader::take_lines(InputBatch& batch) {
  while (batch.record_count < limits_.records_max) {
    const std::size_t end = record_end(consumed_);
    if (end == std::string::npos) return false;
    const std::string_view line(buffer_.data() + consumed_, end - consumed_);
    if (batch.record_count > 0 && batch.body.size() + line.size() > limits_.size_bytes_max) {
      return true;
    }
    if (!is_blank_line(line)) {
      if (batch.body.empty()) {
        batch.offset_bytes = offset_bytes_;
        batch.body = csv_header_;
      }
      batch.body += line;
      if (line.back() != '\n') batch.body += '\n';
      ++batch.record_count;
    }
    consume(line.size());
  }
  return true;
}

// Moves whole elements of the input's one array into the batch. True: the batch is full.
Result<bool> BatchReader::take_elements(InputBatch& batch) {
  while (!array_done_ && batch.record_count < limits_.records_max) {
    const std::size_t begin =
        buffer_.find_first_not_of(in_array_ ? std::string_view(" \t\r\n,") : blanks, consumed_);
    if (begin == std::string::npos) break;
    if (!in_array_) {
      if (buffer_[begin] != '[') {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: byte {}: a JSON file must hold an array of objects (for one "
                                "object per line use --format ndjson)",
                                name_, offset_bytes_ + begin - consumed_));
      }
      in_array_ = true;
      consume(begin + 1 - consumed_);
      continue;
    }
    if (buffer_[begin] == ']') {
      array_done_ = true;
      break;
    }
    MR_TRY_ASSIGN(const auto end, element_end(begin));
    if (!end) break;
    const std::size_t size_bytes = *end - begin;
    if (batch.record_count > 0 && batch.body.size() + size_bytes > limits_.size_bytes_max)
      return true;
    if (batch.body.empty()) {
      batch.offset_bytes = offset_bytes_ + begin - consumed_;
      batch.body = "[";
    }
    batch.body.append(buffer_, begin, size_bytes);
    batch.body += ',';  // The last one becomes the closing bracket.
    ++batch.record_count;
    consume(*end - consumed_);
  }
  if (at_end_ && !array_done_ && batch.record_count == 0) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: the JSON array that starts the file is not closed (the file ends "
                            "after byte {})",
                            name_, offset_bytes_));
  }
  return array_done_ || batch.record_count == limits_.records_max;
}

// The end of the array element at `begin`: what follows its last bracket; nullopt where the buffer
// does not hold all of it. The API checks what is inside.
Result<std::optional<std::size_t>> BatchReader::element_end(std::size_t begin) const {
  if (buffer_[begin] != '{') {
    return fail(Errc::invalid_argument,
                fmt::format("{}: byte {}: expected an object, found '{}'", name_,
                            offset_bytes_ + begin - consumed_, buffer_[begin]));
  }
  int depth = 0;
  bool in_string = false;
  for (std::size_t at = begin; at < buffer_.size(); ++at) {
    const char c = buffer_[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return at + 1;
    }
  }
  return std::nullopt;
}

void BatchReader::consume(std::size_t size_bytes) {
  consumed_ += size_bytes;
  offset_bytes_ += size_bytes;
}

}  // namespace millrace::shipper
