#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/batch.h"

namespace millrace::record {

enum class Format { json, ndjson, csv, combined };

// Errors: invalid_argument, naming the formats.
Result<Format> parse_format(std::string_view text);

enum class ClientIpPrivacy { keep, truncate, drop };  // truncate: IPv4 to /24, IPv6 to /48.

struct DecoderOptions {
  std::size_t records_max = 100'000;          // Per batch.
  std::size_t record_bytes_max = 256 * 1024;  // Of one record as it came.
  std::size_t path_bytes_max = 8 * 1024;
  std::size_t field_bytes_max = 16 * 1024;  // Of any other string field.
  std::size_t attributes_max = 64;          // Unknown fields per record.
  std::chrono::seconds future_max{
      std::chrono::hours(24)};  // Timestamps beyond now + this are refused.
  std::size_t days_max = 100;   // Distinct UTC days per batch; further ones are rejected.
  ClientIpPrivacy client_ip = ClientIpPrivacy::keep;
  std::vector<std::string> redacted_query_parameters;  // Values become "REDACTED".
};

// Why a body as a whole was refused.
struct DecodeFailure {
  enum class Kind { malformed, too_many_records };
  Kind kind = Kind::malformed;
  std::string message;                     // For the client.
  std::optional<std::size_t> byte_offset;  // Where the body stops being well-formed, if known.
};

// Turns request bodies into canonical records and rejects, in one pass. Reuses its buffers; one
// thread. Two kinds of failure never mix: a body that cannot be read as its format fails as a
// whole, a record that breaks a rule is one Reject and its neighbours are not touched.
class Decoder {
 public:
  explicit Decoder(DecoderOptions options);
  ~Decoder();

  // Reads `body` and fills batch.records, record_count and rejects; the batch's other members are
  // left alone (batch.received_at is what timestamps are compared with, batch.site what a record's
  // own `site` is compared with: when `site_is_fixed`, since an API key names the site, a record's
  // own is ignored, otherwise it is kept). `body` may be reallocated for the parser's padding; its
  // bytes are unspecified afterwards.
  // nullopt: success. On failure the batch's records and rejects are empty.
  std::optional<DecodeFailure> decode(Format format, std::string& body, bool site_is_fixed,
                                      Batch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::record
