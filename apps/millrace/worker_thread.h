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

  // `step` should return within about a second, so that stop() is prompt.
  WorkerThread(std::string name, Step step);
  ~WorkerThread() { stop(); }

  // Lets the step under way end, and joins. Repeating is safe.
  void stop();

  // Why it has ended by itself; nullopt: it has not.
  std::optional<std::string> failure() const;

 private:
  void run(const Step& step);

  const std::string name_;

  mutable std::mutex mutex_;  // Guards what is below.
  std::condition_variable changed_;
  bool stop_requested_ = false;
  std::optional<std::string> failure_;

  std::thread thread_;
};

}  // namespace millrace::apps
