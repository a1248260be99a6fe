#include "journal/segment_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::journal {

namespace {

constexpr std::size_t read_size_bytes = 1024 * 1024;
constexpr Partition only_partition(0);

}  // namespace

// Makes the buffer hold `size_bytes` from the current place, or all that is durable.
Result<void> SegmentReader::fill(std::size_t size_bytes, std::uint64_t durable_bytes) {
  if (buffer_.size() - used_bytes_ >= size_bytes) return {};
  buffer_.erase(0, used_bytes_);
  buffer_at_ += used_bytes_;
  used_bytes_ = 0;
  const std::uint64_t left = durable_bytes - std::min(durable_bytes, buffer_at_);
  const std::size_t wanted =
      std::max(buffer_.size(), static_cast<std::size_t>(std::min<std::uint64_t>(
                                   left, std::max(size_bytes, read_size_bytes))));
  std::size_t have = buffer_.size();
  buffer_.resize(wanted);
  while (have < wanted) {
    auto count = file_->read(buffer_at_ + have, buffer_.data() + have, wanted - have);
    if (!count) {
      buffer_.resize(have);
      return tl::unexpected(std::move(count).error());
    }
    if (*count == 0) break;
    have += *count;
  }
  buffer_.resize(have);
  return {};
}

Result<SegmentReader::Read> SegmentReader::next(Offset from, const Segment& segment) {
  while (true) {
    MR_TRY(fill(entry_header_bytes, segment.durable_bytes));
    DecodedEntry decoded = decode_entry(std::string_view(buffer_).substr(used_bytes_));
    if (decoded.kind == DecodedEntry::Kind::incomplete) {
      MR_TRY(fill(decoded.size_bytes, segment.durable_bytes));
      decoded = decode_entry(std::string_view(buffer_).substr(used_bytes_));
    }
    const bool is_expected = decoded.kind == DecodedEntry::Kind::entry &&
                             decoded.offset >= first_ && decoded.offset < segment.end;
    if (!is_expected) return skip_damage(from, segment);
    if (decoded.offset < from) {
      used_bytes_ += decoded.size_bytes;
      continue;
    }
    if (decoded.offset > from) {
      // Entries before this one are lost: say so once, and come back for this one.
      Read lost{.entry = {only_partition, from, {}, {}}, .next = decoded.offset};
      lost.entry.corrupt_reason =
          fmt::format("{}: the entries {} to {} do not check (before byte {})", path_, from.value(),
                      decoded.offset.value() - 1, buffer_at_ + used_bytes_);
      return lost;
    }
    Read read{.entry = {only_partition, from, {}, {}},
              .next = from.next(),
              .size_bytes = decoded.size_bytes};
    auto entry = decode_payload(decoded.payload);
    if (entry) {
      read.entry.entry = *std::move(entry);
    } else {
      read.entry.corrupt_reason =
          fmt::format("{}: byte {}: {}", path_, buffer_at_ + used_bytes_, entry.error().message);
    }
    used_bytes_ += decoded.size_bytes;
    return read;
  }
}

// Goes on at the next entry that checks; where there is none, the rest of the segment is lost.
Result<SegmentReader::Read> SegmentReader::skip_damage(Offset from, const Segment& segment) {
  const std::uint64_t damage_at = buffer_at_ + used_bytes_;
  MR_TRY(fill(segment.durable_bytes, segment.durable_bytes));
  const auto found = find_entry(buffer_, used_bytes_ + 1, from);
  if (found) {
    used_bytes_ = *found;
    return next(from, segment);
  }
  Read lost{.entry = {only_partition, from, {}, {}}, .next = segment.end};
  lost.entry.corrupt_reason = fmt::format("{}: the entries {} to {} do not check (from byte {})",
                                          path_, from.value(), segment.end.value() - 1, damage_at);
  return lost;
}

}  // namespace millrace::journal
