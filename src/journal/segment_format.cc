#include "journal/segment_format.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "journal/crc32c.h"

namespace millrace::journal {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view segment_magic = "MRJRNL01";
constexpr std::string_view entry_marker = "MRen";
constexpr std::size_t uuid_bytes = 36;

// Positions within an entry's header.
constexpr std::size_t size_at = 4;
constexpr std::size_t offset_at = 8;
constexpr std::size_t payload_crc_at = 16;
constexpr std::size_t header_crc_at = 20;

template <typename Number>
void append_number(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <typename Number>
void put_number(std::string& out, std::size_t at, Number number) {
  std::memcpy(out.data() + at, &number, sizeof(number));
}

template <typename Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number number{};
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

void append_text(std::string& out, std::string_view text) {
  append_number(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

// Takes one length-prefixed text off the front; nullopt: there is none.
std::optional<std::string_view> take_text(std::string_view& bytes) {
  if (bytes.size() < sizeof(std::uint32_t)) return std::nullopt;
  const auto size = number_at<std::uint32_t>(bytes, 0);
  bytes.remove_prefix(sizeof(std::uint32_t));
  if (bytes.size() < size) return std::nullopt;
  const std::string_view text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return text;
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  MR_ASSERT(header.journal_id.size() == uuid_bytes);
  std::string bytes(segment_magic);
  bytes += header.journal_id;
  append_number(bytes, header.first.value());
  append_number(bytes, crc32c(bytes));
  MR_ASSERT(bytes.size() == segment_header_bytes);
  return bytes;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  constexpr std::size_t crc_at = segment_header_bytes - sizeof(std::uint32_t);
  const bool is_valid = bytes.size() >= segment_header_bytes && bytes.starts_with(segment_magic) &&
                        number_at<std::uint32_t>(bytes, crc_at) == crc32c(bytes.substr(0, crc_at));
  if (!is_valid) return fail(Errc::corrupt, "the segment's header does not check");
  return SegmentHeader{std::string(bytes.substr(segment_magic.size(), uuid_bytes)),
                       Offset(number_at<std::int64_t>(bytes, segment_magic.size() + uuid_bytes))};
}

std::size_t encoded_size_bytes(const Entry& entry) {
  constexpr std::size_t number_bytes = sizeof(std::uint32_t);
  std::size_t size = entry_header_bytes + 2 * number_bytes + entry.key.size() + entry.value.size();
  for (const auto& [name, value] : entry.headers) {
    size += 2 * number_bytes + name.size() + value.size();
  }
  return size;
}

EncodedEntry encode_entry(Entry entry) {
  const std::size_t size_bytes = encoded_size_bytes(entry);
  std::string front;
  front.reserve(size_bytes - entry.value.size());
  front.append(entry_header_bytes, '\0');
  append_text(front, entry.key);
  append_number(front, static_cast<std::uint32_t>(entry.headers.size()));
  for (const auto& [name, value] : entry.headers) {
    append_text(front, name);
    append_text(front, value);
  }
  const auto front_crc = crc32c(std::string_view(front).substr(entry_header_bytes));
  std::memcpy(front.data(), entry_marker.data(), entry_marker.size());
  put_number(front, size_at, static_cast<std::uint32_t>(size_bytes - entry_header_bytes));
  put_number(front, payload_crc_at, crc32c(entry.value, front_crc));
  return {std::move(front), std::move(entry.value)};
}

void seal_entry(EncodedEntry& entry, Offset offset) {
  put_number(entry.front, offset_at, offset.value());
  put_number(entry.front, header_crc_at,
             crc32c(std::string_view(entry.front).substr(0, header_crc_at)));
}

DecodedEntry decode_entry(std::string_view bytes) {
  DecodedEntry decoded;
  if (bytes.size() < entry_header_bytes || !bytes.starts_with(entry_marker) ||
      number_at<std::uint32_t>(bytes, header_crc_at) != crc32c(bytes.substr(0, header_crc_at))) {
    return decoded;
  }
  decoded.offset = Offset(number_at<std::int64_t>(bytes, offset_at));
  decoded.size_bytes = entry_header_bytes + number_at<std::uint32_t>(bytes, size_at);
  if (bytes.size() < decoded.size_bytes) {
    decoded.kind = DecodedEntry::Kind::incomplete;
    return decoded;
  }
  decoded.payload = bytes.substr(entry_header_bytes, decoded.size_bytes - entry_header_bytes);
  const bool checks = number_at<std::uint32_t>(bytes, payload_crc_at) == crc32c(decoded.payload);
  decoded.kind = checks ? DecodedEntry::Kind::entry : DecodedEntry::Kind::damaged;
  return decoded;
}

Result<Entry> decode_payload(std::string_view payload) {
  Entry entry;
  const auto key = take_text(payload);
  const bool has_count = key && payload.size() >= sizeof(std::uint32_t);
  if (!has_count) return fail(Errc::corrupt, "the entry's payload is cut short");
  entry.key = *key;
  const auto header_count = number_at<std::uint32_t>(payload, 0);
  payload.remove_prefix(sizeof(std::uint32_t));
  for (std::uint32_t i = 0; i < header_count; ++i) {
    const auto name = take_text(payload);
    const auto value = name ? take_text(payload) : std::nullopt;
    if (!value) return fail(Errc::corrupt, "the entry's headers are cut short");
    entry.headers.emplace_back(*name, *value);
  }
  entry.value = payload;
  return entry;
}

std::optional<std::size_t> find_entry(std::string_view bytes, std::size_t begin, Offset at_least) {
  for (std::size_t at = bytes.find(entry_marker, begin); at != std::string_view::npos;
       at = bytes.find(entry_marker, at + 1)) {
    const DecodedEntry decoded = decode_entry(bytes.substr(at));
    if (decoded.kind == DecodedEntry::Kind::entry && decoded.offset >= at_least) return at;
  }
  return std::nullopt;
}

}  // namespace millrace::journal
