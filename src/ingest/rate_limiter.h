#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

#include "base/clock.h"

namespace millrace::ingest {

// A token bucket that holds one second's worth. Thread-safe; `clock` must outlive it.
class RateLimiter {
 public:
  RateLimiter(std::int64_t per_second_max, const Clock& clock);

  // Takes `amount` if the bucket is not empty, going into debt for what it lacks: a batch larger
  // than the bucket passes, and is paid off before the next. Otherwise nothing is taken, and the
  // answer is how long to wait; zero: taken.
  std::chrono::milliseconds take(std::int64_t amount);

 private:
  const double per_second_max_;
  const Clock& clock_;

  std::mutex mutex_;  // Guards what is below.
  double tokens_;
  std::chrono::steady_clock::time_point filled_;
};

}  // namespace millrace::ingest
