#include "journal/segment_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "journal/segment_format.h"

namespace millrace::journal {

namespace {

constexpr std::size_t read_size_bytes = 1024 * 1024;
constexpr Partition only_partition(0);

}  // namespace

Result<SegmentReader> SegmentReader::open(std::string path, Offset first) {
  MR_TRY_ASSIGN(FileDescriptor file, open_file(path, O_RDONLY));
  SegmentReader reader(std::move(path), std::move(file), first);
  reader.buffer_at_ = segment_header_bytes;
  return reader;
}

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
    const ssize_t count = ::pread(file_.get(), buffer_.data() + have, wanted - have,
                                  static_cast<off_t>(buffer_at_ + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      buffer_.resize(have);
      return tl::unexpected(errno_error("reading", path_, error_number));
    }
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
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
