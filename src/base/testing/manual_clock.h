#pragma once

#include <atomic>

#include "base/clock.h"

namespace millrace {

// A clock that stands still until a test moves it. Both times move together. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start) : start_(start) {}

  void advance(std::chrono::microseconds by) { passed_us_ += by.count(); }

  Timestamp now() const override { return start_ + std::chrono::microseconds(passed_us_.load()); }
  std::chrono::steady_clock::time_point monotonic_now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::microseconds(passed_us_.load()));
  }

 private:
  const Timestamp start_;
  std::atomic<std::int64_t> passed_us_{0};
};

}  // namespace millrace
