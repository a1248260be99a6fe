#pragma once

#include <string>
#include <utility>

#include "base/time_text.h"
#include "record/decoder.h"

// Words for tests of what becomes of a body.
namespace millrace::record {

struct Decoded {
  Batch batch;
  std::optional<DecodeFailure> failure;
};

inline Decoded decode(Format format, std::string body, DecoderOptions options = {},
                      bool site_is_fixed = false) {
  Decoded decoded;
  decoded.batch.site = "default";
  decoded.batch.received_at = *parse_rfc3339("2026-03-01T00:00:00Z");
  Decoder decoder(std::move(options));
  decoded.failure = decoder.decode(format, body, site_is_fixed, decoded.batch);
  return decoded;
}

// Decodes a JSON array of one record; what it becomes, or "field: reason".
inline std::string decode_one(const std::string& record, DecoderOptions options = {}) {
  const Decoded decoded = decode(Format::json, "[" + record + "]", std::move(options));
  if (decoded.failure) return "failed: " + decoded.failure->message;
  if (decoded.batch.rejects.empty()) {
    std::string line = decoded.batch.records;
    line.pop_back();
    return line;
  }
  return decoded.batch.rejects[0].field + ": " + decoded.batch.rejects[0].reason;
}

// The smallest record, as decode_one() shows it.
inline constexpr const char* minimal = R"({"timestamp":"2026-01-02T03:04:05.000000Z","path":"/a"})";

}  // namespace millrace::record
