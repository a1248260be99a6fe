#include "journal/segment_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/assert.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/posix_file.h"
#include "base/random_id.h"
#include "journal/segment_format.h"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t name_digits = 20;
constexpr std::string_view name_ending = ".log";
// Holds the journal's id in the form of a segment's header.
constexpr std::string_view id_name = "id";

struct FoundSegment {
  Offset first;
  std::uint64_t size_bytes = 0;
};

std::optional<Offset> offset_in_name(const std::string& name) {
  if (name.size() != name_digits + name_ending.size() || !name.ends_with(name_ending)) {
    return std::nullopt;
  }
  std::int64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name_digits, number);
  if (parsed.ptr != name.data() + name_digits) return std::nullopt;
  return Offset(number);
}

Result<std::vector<FoundSegment>> find_segments(const std::string& directory) {
  std::vector<FoundSegment> found;
  std::error_code error;
  for (auto it = fs::directory_iterator(directory, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const auto first = offset_in_name(it->path().filename().string());
    if (first) found.push_back({*first, it->file_size(error)});
    if (error) break;
  }
  if (error) {
    return fail(Errc::unavailable, fmt::format("listing {}: {}", directory, error.message()));
  }
  std::sort(found.begin(), found.end(),
            [](const FoundSegment& a, const FoundSegment& b) { return a.first < b.first; });
  return found;
}

// As much of a segment's header as is there.
Result<std::string> read_header_bytes(const std::string& path) {
  MR_TRY_ASSIGN(const FileDescriptor file, open_file(path, O_RDONLY));
  std::string bytes(segment_header_bytes, '\0');
  const ssize_t count = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (count < 0) return tl::unexpected(errno_error("reading", path, errno));
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

// Where the entries of a segment end.
struct Scan {
  Offset end;
  std::size_t valid_bytes = segment_header_bytes;
};

Scan scan(std::string_view bytes, Offset first, const std::string& path) {
  Scan result{.end = first};
  while (result.valid_bytes < bytes.size()) {
    const DecodedEntry decoded = decode_entry(bytes.substr(result.valid_bytes));
    // What is there in full was perhaps acknowledged, also where its payload is damaged.
    const bool is_whole =
        decoded.kind == DecodedEntry::Kind::entry || decoded.kind == DecodedEntry::Kind::damaged;
    if (is_whole && decoded.offset >= result.end) {
      result.valid_bytes += decoded.size_bytes;
      result.end = decoded.offset.next();
      continue;
    }
    // Only damage has valid entries behind it; a torn write is the last thing in the file.
    const auto next = find_entry(bytes, result.valid_bytes + 1, result.end);
    if (!next) break;
    log(LogLevel::error,
        "journal: found damaged bytes between entries; reading goes on behind them",
        {{"file", path}, {"begin_byte", result.valid_bytes}, {"end_byte", *next}});
    result.valid_bytes = *next;
  }
  return result;
}

}  // namespace

std::string segment_name(Offset first) {
  return fmt::format("{:0{}}{}", first.value(), name_digits, name_ending);
}

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(SegmentLogOptions options,
                                                     JournalFiles& files) {
  std::unique_ptr<SegmentLog> log(new SegmentLog(std::move(options), files));
  MR_TRY(log->load());
  return log;
}

Result<void> SegmentLog::load() {
  MR_TRY_ASSIGN(const auto found, find_segments(options_.directory));
  std::string id_in_segments;
  for (const FoundSegment& file : found) {
    if (!segments_.empty()) segments_.back().end = file.first;
    segments_.push_back({file.first, file.first, file.size_bytes});
    size_bytes_ += file.size_bytes;
    if (!id_in_segments.empty()) continue;
    MR_TRY_ASSIGN(const std::string bytes, read_header_bytes(path_of(segments_.back())));
    if (const auto header = decode_segment_header(bytes)) id_in_segments = header->journal_id;
  }
  MR_TRY(identify(id_in_segments));
  if (!segments_.empty()) return load_last();
  segments_.push_back({Offset(0), Offset(0), 0});
  return start_segment();
}

// The tables know the journal by its id: under another one they would take all of it once more.
Result<void> SegmentLog::identify(const std::string& id_in_segments) {
  const std::string path = fmt::format("{}/{}", options_.directory, id_name);
  const auto bytes = read_file(path);
  if (!bytes && bytes.error().code != Errc::not_found) return tl::unexpected(bytes.error());
  const auto known = decode_segment_header(bytes.value_or(""));
  if (known) {
    journal_id_ = known->journal_id;
    return {};
  }
  journal_id_ = id_in_segments;
  // A crash at the very start leaves no id, and at most a segment without its header.
  const bool is_new =
      segments_.empty() || (!bytes && segments_.size() == 1 && size_bytes_ < segment_header_bytes);
  if (journal_id_.empty() && is_new) journal_id_ = random_uuid();
  if (journal_id_.empty()) {
    return fail(Errc::corrupt,
                fmt::format("{} holds segments, but neither {} nor one of their headers says which "
                            "journal they are of. Restore that file, or move the folder away to "
                            "start a new journal",
                            options_.directory, path));
  }
  MR_TRY_ASSIGN(auto file, files_.create(std::string(id_name)));
  MR_TRY(file->append(encode_segment_header({journal_id_, Offset(0)})));
  MR_TRY(file->sync());
  return files_.sync_names();
}

// A crash can only have torn the end of the newest segment: all else was synced before it.
Result<void> SegmentLog::load_last() {
  Segment& last = segments_.back();
  const std::string path = path_of(last);
  MR_TRY_ASSIGN(const std::string bytes, read_file(path));
  if (bytes.size() < segment_header_bytes) {
    log(LogLevel::warn, "journal: replaced a segment that a crash left without its header",
        {{"file", path}, {"bytes", bytes.size()}});
    return start_segment();
  }
  if (const auto header = decode_segment_header(bytes); !header) {
    log(LogLevel::error, "journal: a segment's header is damaged; reading its entries all the same",
        {{"file", path}});
  }
  const Scan scanned = scan(bytes, last.first, path);
  MR_TRY_ASSIGN(active_, files_.open(segment_name(last.first)));
  if (scanned.valid_bytes < bytes.size()) {
    log(LogLevel::warn, "journal: cut a torn tail; nothing in it was acknowledged",
        {{"file", path},
         {"at_byte", scanned.valid_bytes},
         {"cut_bytes", bytes.size() - scanned.valid_bytes}});
    MR_TRY(active_->truncate(scanned.valid_bytes));
    size_bytes_ -= bytes.size() - scanned.valid_bytes;
  }
  // What was written without being acknowledged becomes readable: it has to survive first.
  MR_TRY(active_->sync());
  MR_TRY(files_.sync_names());
  last.end = scanned.end;
  last.durable_bytes = scanned.valid_bytes;
  rotate_if_due();
  return {};
}

// At once, not with the next entry: only a segment that is not the newest can be removed, and a
// full journal takes no next entry.
void SegmentLog::rotate_if_due() {
  if (segment_of(end()).durable_bytes < options_.segment_size_bytes_max) return;
  if (const auto started = start_segment(); !started) {
    log(LogLevel::warn, "journal: cannot start a segment; trying again with the next entry",
        {{"reason", started.error().message}});
  }
}

// Starts a new file at the end; it takes the place of one there that holds no durable entry.
Result<void> SegmentLog::start_segment() {
  const Offset first = end();
  const std::string name = segment_name(first);
  active_.reset();
  MR_TRY_ASSIGN(auto file, files_.create(name));
  MR_TRY(file->append(encode_segment_header({journal_id_, first})));
  MR_TRY(file->sync());
  MR_TRY(files_.sync_names());
  crash_point("journal.after_rotate");
  active_ = std::move(file);
  const std::lock_guard lock(mutex_);
  if (segments_.back().first == first) {
    size_bytes_ -= segments_.back().durable_bytes;
    segments_.pop_back();
  }
  segments_.push_back({first, first, segment_header_bytes});
  size_bytes_ += segment_header_bytes;
  return {};
}

Result<Offset> SegmentLog::append(std::vector<EncodedEntry>& entries) {
  if (!active_) MR_TRY(start_segment());
  const Offset first = end();
  Offset next = first;
  std::size_t size_bytes = 0;
  for (EncodedEntry& entry : entries) {
    seal_entry(entry, next);
    next = next.next();
    size_bytes += entry.front.size() + entry.value.size();
  }
  MR_TRY(write(entries));
  {
    const std::lock_guard lock(mutex_);
    segments_.back().end = next;
    segments_.back().durable_bytes += size_bytes;
    size_bytes_ += size_bytes;
  }
  rotate_if_due();
  return first;
}

// Small entries together, by one call; a large value from where it is: copying a group of 8 values
// of 200 kB took a third of its cost.
Result<void> SegmentLog::write_pieces(const std::vector<EncodedEntry>& entries) {
  constexpr std::size_t large_bytes = 16 * 1024;
  std::string joined;
  for (const EncodedEntry& entry : entries) {
    joined += entry.front;
    if (entry.value.size() < large_bytes) {
      joined += entry.value;
    } else {
      MR_TRY(active_->append(joined));
      joined.clear();
      MR_TRY(active_->append(entry.value));
    }
  }
  return joined.empty() ? Result<void>() : active_->append(joined);
}

Result<void> SegmentLog::write(const std::vector<EncodedEntry>& entries) {
  crash_point("journal.before_write");
  if (const auto written = write_pieces(entries); !written) {
    const Segment last = segment_of(end());
    // Synced too: else a power cut could bring back what was refused.
    const bool is_cut = active_->truncate(last.durable_bytes) && active_->sync();
    if (!is_cut) active_.reset();
    const bool is_full = is_cut && written.error().code == Errc::exhausted;
    return fail(is_full ? Errc::exhausted : Errc::unavailable, written.error().message);
  }
  crash_point("journal.after_write");
  if (const auto synced = active_->sync(); !synced) {
    // The kernel may have dropped the pages and would report success the next time.
    active_.reset();
    return fail(Errc::unavailable, synced.error().message);
  }
  crash_point("journal.after_sync");
  return {};
}

Result<void> SegmentLog::probe() {
  constexpr std::size_t probe_bytes = 64 * 1024;
  const std::string name = "probe";
  auto written = [&]() -> Result<void> {
    MR_TRY_ASSIGN(auto file, files_.create(name));
    MR_TRY(file->append(std::string(probe_bytes, '\0')));
    return file->sync();
  }();
  MR_TRY(files_.remove(name));
  return written;
}

Result<void> SegmentLog::forget_below(Offset position) {
  bool any = false;
  while (true) {
    Segment oldest_segment;
    {
      const std::lock_guard lock(mutex_);
      if (segments_.size() < 2 || segments_.front().end > position) break;
      oldest_segment = segments_.front();
      segments_.pop_front();
    }
    size_bytes_ -= oldest_segment.durable_bytes;
    MR_TRY(files_.remove(segment_name(oldest_segment.first)));
    any = true;
  }
  return any ? files_.sync_names() : Result<void>();
}

Segment SegmentLog::segment_of(Offset offset) const {
  const std::lock_guard lock(mutex_);
  MR_ASSERT(!segments_.empty());
  for (const Segment& segment : segments_) {
    if (offset < segment.end) return segment;
  }
  return segments_.back();
}

Offset SegmentLog::oldest() const {
  const std::lock_guard lock(mutex_);
  return segments_.front().first;
}

Offset SegmentLog::end() const {
  const std::lock_guard lock(mutex_);
  return segments_.back().end;
}

Result<std::unique_ptr<JournalFileReader>> SegmentLog::open_to_read(const Segment& segment) const {
  return files_.open_to_read(segment_name(segment.first));
}

std::string SegmentLog::path_of(const Segment& segment) const {
  return fmt::format("{}/{}", options_.directory, segment_name(segment.first));
}

}  // namespace millrace::journal
