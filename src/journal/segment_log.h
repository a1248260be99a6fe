#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "journal/journal_files.h"
#include "journal/segment_format.h"

namespace millrace::journal {

// A segment as a reader may use it: entries from `first` up to, not including, `end`, all within
// the first `durable_bytes` of the file.
struct Segment {
  Offset first;
  Offset end;
  std::uint64_t durable_bytes = 0;
};

struct SegmentLogOptions {
  std::string directory;
  std::uint64_t segment_size_bytes_max = 64UL << 20;
};

// The segments of a journal in one directory: what has been made durable, and how it grows. One
// thread appends; any thread asks for segments and forgets them.
class SegmentLog {
 public:
  // Opens what is there: cuts a torn tail, with a log line, and reports damage in the middle with
  // one, without touching it. Creates the first segment of a new journal. `files` must outlive the
  // log.
  // Errors: exhausted, unavailable, corrupt (nothing says any more which journal it is).
  static Result<std::unique_ptr<SegmentLog>> open(SegmentLogOptions options, JournalFiles& files);

  // Writes entries (see encode_entry()), gives them offsets in order from the returned one on, and
  // makes them durable: all of them or, in effect, none.
  // Errors: exhausted (none of them is in the journal), unavailable (each may or may not be). The
  // next call starts afresh.
  Result<Offset> append(std::vector<EncodedEntry>& entries);

  // Finds out whether an append could succeed, without one. Called by the appending thread.
  // Errors: exhausted, unavailable.
  Result<void> probe();

  // Removes the segments whose entries all lie below `position`; the newest stays.
  Result<void> forget_below(Offset position);

  // The segment that holds `offset`, or will hold it.
  Segment segment_of(Offset offset) const;

  Offset oldest() const;
  Offset end() const;
  std::uint64_t size_bytes() const { return size_bytes_; }
  const std::string& journal_id() const { return journal_id_; }
  std::string path_of(const Segment& segment) const;
  Result<std::unique_ptr<JournalFileReader>> open_to_read(const Segment& segment) const;

 private:
  SegmentLog(SegmentLogOptions options, JournalFiles& files)
      : options_(std::move(options)), files_(files) {}

  Result<void> load();
  Result<void> identify(const std::string& id_in_segments);
  Result<void> load_last();
  Result<void> start_segment();
  void rotate_if_due();
  Result<void> write(const std::vector<EncodedEntry>& entries);
  Result<void> write_pieces(const std::vector<EncodedEntry>& entries);

  const SegmentLogOptions options_;
  JournalFiles& files_;
  std::string journal_id_;
  // The newest segment's file; null after a failure that forbids to write it again.
  std::unique_ptr<JournalFile> active_;
  std::atomic<std::uint64_t> size_bytes_{0};

  mutable std::mutex mutex_;  // Guards segments_.
  std::deque<Segment> segments_;
};

// "00000000000000000042.log"
std::string segment_name(Offset first);

}  // namespace millrace::journal
