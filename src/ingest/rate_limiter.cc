#include "ingest/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace millrace::ingest {

RateLimiter::RateLimiter(std::int64_t per_second_max, const Clock& clock)
    : per_second_max_(static_cast<double>(per_second_max)),
      clock_(clock),
      tokens_(per_second_max_),
      filled_(clock.monotonic_now()) {}

std::chrono::milliseconds RateLimiter::take(std::int64_t amount) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.monotonic_now();
  const double passed_seconds = std::chrono::duration<double>(now - filled_).count();
  filled_ = now;
  tokens_ = std::min(per_second_max_, tokens_ + passed_seconds * per_second_max_);
  if (tokens_ <= 0) {
    const double wait_seconds = (1 - tokens_) / per_second_max_;
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(wait_seconds * 1000)));
  }
  tokens_ -= static_cast<double>(amount);
  return std::chrono::milliseconds(0);
}

}  // namespace millrace::ingest
