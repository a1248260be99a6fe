#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"

namespace millrace::apps {

// A named thread that calls one step again and again, with the pauses that the steps ask for, until
// it is told to stop or a step fails for good. Exceptions that reach its top count as such a
// failure.
class WorkerThread {
 public:
  using Step = std::function<Result<std::chrono::milliseconds>()>;

  // Whose turn it is on a core that threads share.
  enum class Place {
    equal,
    // Threads that answer requests go first, and a tenth of the core stays for the work even if
    // they could use all of it. At half of what `serve` can take on one core, 99 % of answers came
    // within 5 ms, and with `equal` threads within 18 ms.
    after_requests,
  };

  // `step` should return within about a second, so that stop() is prompt.
  WorkerThread(std::string name, Place place, Step step);
  ~WorkerThread() { stop(); }

  // Lets the step under way end, and joins. Repeating is safe.
  void stop();

  // Why it has ended by itself; nullopt: it has not.
  std::optional<std::string> failure() const;

 private:
  void run(Place place, const Step& step);

  const std::string name_;

  mutable std::mutex mutex_;  // Guards what is below.
  std::condition_variable changed_;
  bool stop_requested_ = false;
  std::optional<std::string> failure_;

  std::thread thread_;
};

}  // namespace millrace::apps
