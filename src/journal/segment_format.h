#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "journal/journal.h"

// The bytes of a segment file: docs/formats/journal.md.
namespace millrace::journal {

struct SegmentHeader {
  std::string journal_id;  // A UUID.
  Offset first;            // Of the segment's first entry.
};

inline constexpr std::size_t segment_header_bytes = 56;
inline constexpr std::size_t entry_header_bytes = 24;

std::string encode_segment_header(const SegmentHeader& header);

// Errors: corrupt.
Result<SegmentHeader> decode_segment_header(std::string_view bytes);

// An entry's bytes in a segment: `front` and then `value`, which stays where its sender put it.
struct EncodedEntry {
  std::string front;  // Header, key and headers.
  std::string value;
};

// An entry without its place: the costly part, done by the thread that appends. seal_entry() then
// gives it its offset.
EncodedEntry encode_entry(Entry entry);
void seal_entry(EncodedEntry& entry, Offset offset);

// The bytes that encode_entry() makes of `entry`.
std::size_t encoded_size_bytes(const Entry& entry);

// What stands at the start of `bytes`.
struct DecodedEntry {
  enum class Kind {
    entry,       // A whole entry that checks.
    incomplete,  // A header that checks, but not all of its entry is in `bytes`.
    damaged,     // A header that checks, and all of its entry, which does not.
    invalid,     // None of these.
  };
  Kind kind = Kind::invalid;
  Offset offset;
  std::size_t size_bytes = 0;  // Of the whole entry, where its header checks.
  std::string_view payload;    // Of an entry.
};
DecodedEntry decode_entry(std::string_view bytes);

// Splits a payload. Errors: corrupt.
Result<Entry> decode_payload(std::string_view payload);

// Where the next entry that checks and whose offset is at least `at_least` starts at or after
// `begin`; nullopt: nowhere in `bytes`.
std::optional<std::size_t> find_entry(std::string_view bytes, std::size_t begin, Offset at_least);

}  // namespace millrace::journal
