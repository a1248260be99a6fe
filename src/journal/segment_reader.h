#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "journal/journal.h"
#include "journal/journal_files.h"
#include "journal/segment_format.h"
#include "journal/segment_log.h"

namespace millrace::journal {

// Reads one segment's entries in order, while it may still grow. One thread.
class SegmentReader {
 public:
  // `path` is for messages.
  SegmentReader(std::string path, std::unique_ptr<JournalFileReader> file, Offset first)
      : path_(std::move(path)), file_(std::move(file)), first_(first) {}

  Offset first() const { return first_; }

  // The next entry whose offset is `from` or more, of those that `segment`, this one's newest
  // state, holds. Where the bytes do not check: one ConsumedEntry with the reason and the lowest
  // offset that is lost; the next call goes on behind the damage.
  // Errors: unavailable.
  struct Read {
    ConsumedEntry entry;
    Offset next;  // Where to go on.
    std::size_t size_bytes = 0;
  };
  Result<Read> next(Offset from, const Segment& segment);

 private:
  Result<void> fill(std::size_t size_bytes, std::uint64_t durable_bytes);
  Result<Read> skip_damage(Offset from, const Segment& segment);

  std::string path_;
  std::unique_ptr<JournalFileReader> file_;
  Offset first_;
  std::string buffer_;          // From buffer_at_ of the file.
  std::size_t used_bytes_ = 0;  // Of the buffer.
  std::uint64_t buffer_at_ = segment_header_bytes;
};

}  // namespace millrace::journal
