#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/time_text.h"
#include "record/canonical.h"
#include "record/decoder.h"

namespace millrace::record {

// Decodes `bytes` and dies unless the batch holds what the writer relies on: each accepted record
// reads back, each reject has its own index among the records, and a failure leaves nothing.
// Returns accepted plus rejected; 0 for a failure.
inline std::size_t check_decode(Format format, const std::uint8_t* bytes, std::size_t size) {
  static Decoder plain{DecoderOptions{}};
  static Decoder strict{DecoderOptions{.records_max = 1000,
                                       .record_bytes_max = 200,
                                       .path_bytes_max = 20,
                                       .field_bytes_max = 30,
                                       .attributes_max = 3,
                                       .days_max = 2,
                                       .client_ip = ClientIpPrivacy::truncate,
                                       .redacted_query_parameters = {"token"}}};
  std::size_t plain_count = 0;
  for (Decoder* decoder : {&strict, &plain}) {
    std::string body(reinterpret_cast<const char*>(bytes), size);
    Batch batch;
    batch.site = "default";
    batch.received_at = *parse_rfc3339("2026-03-01T00:00:00Z");
    const bool is_failed = decoder->decode(format, body, false, batch).has_value();
    MR_ASSERT(!is_failed || (batch.records.empty() && batch.rejects.empty()));
    MR_ASSERT(!is_failed || batch.record_count == 0);

    CanonicalReader reader;
    reader.reset(batch.records);
    std::size_t lines = 0;
    for (auto record = reader.next(); record.has_value() && *record != nullptr;
         record = reader.next()) {
      MR_ASSERT(!(*record)->path.empty());
      ++lines;
    }
    MR_ASSERT(lines == batch.record_count);
    MR_ASSERT(reader.line().empty());  // At the end, and not stopped by an error.

    const std::size_t count = batch.record_count + batch.rejects.size();
    std::size_t index_min = 0;
    for (const Reject& reject : batch.rejects) {
      MR_ASSERT(reject.index >= index_min && reject.index < count);
      MR_ASSERT(!reject.reason.empty() && reject.payload.size() <= reject_payload_bytes_max);
      index_min = reject.index + 1;
    }
    const auto again = decode_batch(encode_headers(batch), batch.records);
    MR_ASSERT(again.has_value() && again->rejects.size() == batch.rejects.size());
    plain_count = count;
  }
  return plain_count;
}

// The lines of `bytes` that hold more than blanks: the records of a line format.
inline std::size_t count_lines(const std::uint8_t* bytes, std::size_t size,
                               const std::string& blanks) {
  std::string text(reinterpret_cast<const char*>(bytes), size);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (text.substr(begin, end - begin).find_first_not_of(blanks) != std::string::npos) ++count;
    begin = end + 1;
  }
  return count;
}

}  // namespace millrace::record
