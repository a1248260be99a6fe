#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "sql/engine.h"

namespace millrace::analytics {

struct QueryPoolOptions {
  int threads = 2;               // Questions answered at once; each has an engine of its own.
  std::size_t waiting_max = 64;  // Further ones that wait.
  std::chrono::milliseconds timeout{10'000};
  sql::EngineOptions engine{.memory_bytes_max = 512UL << 20};
};

// Threads that answer questions, each with an SQL engine that is kept open. Thread-safe.
class QueryPool {
 public:
  // Runs on a thread of the pool. Where the engine cannot be opened, the job gets to know why.
  using Job = std::function<void(Result<sql::Engine*>)>;

  explicit QueryPool(QueryPoolOptions options);
  ~QueryPool() { stop(); }

  // False: too many wait. The engine of a job that is not done at its timeout, waiting included, is
  // interrupted; one that is not begun by then gets unavailable.
  bool submit(Job job);

  // Drops what waits, interrupts what runs, and joins. Repeating is safe.
  void stop();

 private:
  struct Waiting {
    Job job;
    std::chrono::steady_clock::time_point deadline;
  };

  struct Worker {
    std::unique_ptr<sql::Engine> engine;
    int jobs_done = 0;                                              // With that engine.
    std::optional<std::chrono::steady_clock::time_point> deadline;  // Of the job that runs.
    std::thread thread;
  };

  void run(Worker& worker);
  void watch();
  void work(Worker& worker, const Waiting& waiting);

  const QueryPoolOptions options_;

  mutable std::mutex mutex_;  // Guards all below, but for a worker's use of its engine.
  std::condition_variable work_changed_;
  std::condition_variable deadlines_changed_;
  std::deque<Waiting> jobs_;
  bool is_stopped_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread watcher_;
};

}  // namespace millrace::analytics
