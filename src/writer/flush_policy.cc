#include "writer/flush_policy.h"

#include <algorithm>

namespace millrace::writer {

void FlushPolicy::entry_added() {
  last_added_ = clock_->monotonic_now();
  if (!first_added_) first_added_ = last_added_;
}

bool FlushPolicy::is_due(const Buffered& buffered) const {
  if (!first_added_) return false;
  return buffered.journal_bytes >= limits_.journal_bytes_max ||
         buffered.buffer_bytes >= limits_.buffer_bytes_max ||
         buffered.records >= limits_.records_max || buffered.days >= limits_.days_max ||
         *time_left() == std::chrono::milliseconds::zero();
}

std::optional<std::chrono::milliseconds> FlushPolicy::time_left() const {
  if (!first_added_) return std::nullopt;
  auto due = *first_added_ + limits_.age_max;
  if (limits_.idle_max) due = std::min(due, last_added_ + *limits_.idle_max);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - clock_->monotonic_now());
  return std::max(left, std::chrono::milliseconds::zero());
}

}  // namespace millrace::writer
