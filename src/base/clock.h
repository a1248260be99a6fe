#pragma once

#include <chrono>

namespace millrace {

// An instant in UTC, to the microsecond: the resolution of every stored time.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

// Where a component gets the time from, so that a test can step it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The time of day. May jump when the machine's clock is set.
  virtual Timestamp now() const = 0;

  // For measuring how long something took. Never runs backwards.
  virtual std::chrono::steady_clock::time_point monotonic_now() const = 0;
};

// The machine's clock.
class SystemClock final : public Clock {
 public:
  Timestamp now() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }
  std::chrono::steady_clock::time_point monotonic_now() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace millrace
