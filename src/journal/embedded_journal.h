#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "journal/journal.h"
#include "journal/journal_files.h"

namespace millrace::journal {

struct EmbeddedJournalOptions {
  std::string directory{};
  std::uint64_t segment_size_bytes_max = 64UL << 20;
  std::size_t entry_size_bytes_max = 48UL << 20;
  // Entries that wait for the disk.
  std::size_t queue_size_bytes_max = 64UL << 20;
  // All segments together; beyond it appends are refused until the tables have caught up.
  std::uint64_t journal_size_bytes_max = 10UL << 30;
  // What one poll returns, about.
  std::size_t poll_size_bytes_max = 4UL << 20;
  // How often a failing disk is tried while nobody appends.
  std::chrono::milliseconds probe_interval{1000};
};

// A journal of one partition in segment files of a directory (docs/formats/journal.md), for one
// process, with one consumer at a time. Many appends share one fdatasync.
class EmbeddedJournal : public Journal {
 public:
  // Creates the directory where it is missing, and starts the journal's thread. `metrics` must
  // outlive the journal. `files`: the seam for tests; null: the directory's own.
  // Errors: already_exists (another process has it open), exhausted, unavailable.
  static Result<std::unique_ptr<EmbeddedJournal>> open(
      EmbeddedJournalOptions options, MetricsRegistry& metrics,
      std::unique_ptr<JournalFiles> files = nullptr);
};

}  // namespace millrace::journal
