#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/headers.h"
#include "base/result.h"

namespace millrace::record {

// A record that was refused, kept for the dead-letter table.
struct Reject {
  std::size_t index = 0;  // Of the record in the request, from 0.
  std::string field;      // Canonical column name; empty where the record as a whole is at fault.
  std::string reason;     // A sentence for people.
  std::string payload;    // The record as it came, cut to reject_payload_bytes_max; empty where a
                          // privacy setting forbids to keep it.
};

inline constexpr std::size_t reject_payload_bytes_max = 4096;

// What one request becomes: one journal entry, accepted and rejected records together.
struct Batch {
  // The client's Idempotency-Key (prefixed with the API key's name and '/' where there is one);
  // nullopt where it sent none.
  std::optional<std::string> batch_id;
  std::string site;  // For records that do not name their own.
  Timestamp received_at;
  // The accepted records in canonical form: NDJSON, see docs/formats/records.md.
  std::string records;
  std::size_t record_count = 0;
  std::vector<Reject> rejects;
};

// The journal entry's headers for a batch; its value is `batch.records` as it is.
Headers encode_headers(const Batch& batch);

// The name under which a batch may come again, and when it came.
struct BatchKey {
  std::string id;
  Timestamp received_at;
};

// That of the batch with these headers; nullopt: it has none, or they do not parse.
std::optional<BatchKey> batch_key_of(const Headers& headers);

// The inverse of encode_headers(). Errors: corrupt, naming the header, for entries that Millrace
// did not write.
Result<Batch> decode_batch(const Headers& headers, std::string value);

}  // namespace millrace::record
