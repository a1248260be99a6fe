#include "worker_thread.h"

#include <fmt/format.h>
#include <pthread.h>

#include <exception>
#include <utility>

#include "base/log.h"

namespace millrace::apps {

WorkerThread::WorkerThread(std::string name, Step step)
    : name_(std::move(name)), thread_([this, step = std::move(step)] { run(step); }) {
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void WorkerThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_requested_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::optional<std::string> WorkerThread::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void WorkerThread::run(const Step& step) {
  std::string message;
  try {
    bool goes_on = true;
    while (goes_on) {
      const auto pause = step();
      if (!pause) {
        message = pause.error().message;
        break;
      }
      std::unique_lock lock(mutex_);
      goes_on = !changed_.wait_for(lock, *pause, [this] { return stop_requested_; });
    }
  } catch (const std::exception& error) {
    message = fmt::format("unexpected: {}", error.what());
  }
  if (message.empty()) return;
  log(LogLevel::error, fmt::format("{}: stopped for good", name_), {{"reason", message}});
  const std::lock_guard lock(mutex_);
  failure_ = std::move(message);
}

}  // namespace millrace::apps
