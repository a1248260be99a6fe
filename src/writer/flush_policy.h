#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace millrace::writer {

// When buffered entries are written to the table: as soon as one of these is reached.
struct FlushLimits {
  std::size_t journal_bytes_max = 64UL << 20;  // Of the entries read since the last flush.
  std::size_t buffer_bytes_max = 256UL << 20;  // Of memory that the buffered rows take.
  std::size_t records_max = 1'000'000;
  std::size_t days_max = 100;                 // One file each.
  std::chrono::milliseconds age_max{60'000};  // Since the first of the entries was read.
  // Since the last of the entries was read; nullopt: not looked at.
  std::optional<std::chrono::milliseconds> idle_max;
};

// What is buffered at present.
struct Buffered {
  std::size_t journal_bytes = 0;
  std::size_t buffer_bytes = 0;
  std::size_t records = 0;
  std::size_t days = 0;
};

// Says when to flush. Knows the time, and nothing of tables. One thread; `clock` must outlive it.
class FlushPolicy {
 public:
  FlushPolicy(FlushLimits limits, const Clock& clock) : limits_(limits), clock_(&clock) {}

  // An entry was read.
  void entry_added();

  // Nothing is buffered any more.
  void reset() { first_added_.reset(); }

  // Whether entries were added since reset(), and a limit is reached.
  bool is_due(const Buffered& buffered) const;

  // How long until time alone makes a flush due; nullopt where nothing is buffered.
  std::optional<std::chrono::milliseconds> time_left() const;

 private:
  FlushLimits limits_;
  const Clock* clock_;
  std::optional<std::chrono::steady_clock::time_point> first_added_;
  std::chrono::steady_clock::time_point last_added_;
};

}  // namespace millrace::writer
