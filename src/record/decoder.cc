#include "record/decoder.h"

#include <fmt/format.h>

#include <utility>

#include "record/batch_sink.h"
#include "record/json_reader.h"

namespace millrace::record {

Result<Format> parse_format(std::string_view text) {
  if (text == "json") return Format::json;
  if (text == "ndjson") return Format::ndjson;
  if (text == "csv") return Format::csv;
  if (text == "combined") return Format::combined;
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a format (want json, ndjson, csv or combined)", text));
}

struct Decoder::Impl {
  explicit Impl(DecoderOptions chosen) : options(std::move(chosen)), sink(options) {}

  static std::size_t text_begin(std::string_view body) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    return body.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
  }

  // Offsets of failures count from behind a byte-order mark.
  std::optional<DecodeFailure> read(Format format, const std::string& body) {
    const std::size_t begin = text_begin(body);
    const std::string_view text = std::string_view(body).substr(begin);
    switch (format) {
      case Format::json: return json.read(body, begin, options, sink);
      case Format::ndjson: return json.read_lines(body, begin, options, sink);
      case Format::csv: return read_csv(text, sink);
      case Format::combined: return read_combined(text, sink);
    }
    return std::nullopt;
  }

  const DecoderOptions options;
  BatchSink sink;
  JsonReader json;
};

Decoder::Decoder(DecoderOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Decoder::~Decoder() = default;

std::optional<DecodeFailure> Decoder::decode(Format format, std::string& body, bool site_is_fixed,
                                             Batch& batch) {
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  impl_->sink.start(batch, site_is_fixed);
  // What JSON becomes is a little longer. Growing by doubling would copy it, and leave room for as
  // much again in an entry that waits for the disk.
  batch.records.reserve(body.size() + body.size() / 8);
  auto failure = impl_->read(format, body);
  if (!failure) return std::nullopt;
  if (failure->byte_offset) *failure->byte_offset += Impl::text_begin(body);
  if (failure->kind == DecodeFailure::Kind::too_many_records) {
    failure = too_many_records(impl_->options);
  }
  batch.records.clear();
  batch.record_count = 0;
  batch.rejects.clear();
  return failure;
}

}  // namespace millrace::record
