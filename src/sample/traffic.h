#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"

namespace millrace::sample {

enum class TrafficFormat { combined, ndjson };

struct TrafficOptions {
  std::uint64_t seed = 1;
  std::uint64_t records = 10'000;
  Timestamp begin;  // The first record's earliest time.
  std::chrono::seconds span{std::chrono::hours(24)};
  int paths = 5'000;
  TrafficFormat format = TrafficFormat::combined;
};

// Makes sample traffic of a web site that looks like the real thing: paths by a Zipf law, browsers
// and crawlers with their own habits, a day's rhythm, a few errors. The same options make the same
// bytes. One thread.
class Traffic {
 public:
  explicit Traffic(TrafficOptions options);
  ~Traffic();

  // Appends the next line; false at the end. Times ascend.
  bool append_line(std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::sample
