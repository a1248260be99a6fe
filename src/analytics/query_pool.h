#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/stop_check.h"
#include "sql/engine.h"

namespace millrace::analytics {

struct QueryPoolOptions {
  int threads = 2;               // Questions answered at once; each has an engine of its own.
  std::size_t waiting_max = 64;  // Further ones that wait.
  std::chrono::milliseconds timeout{10'000};
  // Of each engine; its temporary directory gets a number behind its name.
  sql::EngineOptions engine{.memory_bytes_max = 512UL << 20};
  // Whether engines keep the footers of files between questions: where files stay where they are.
  bool keeps_footers = true;
};

// Threads that answer questions, each with an SQL engine that is kept open. Thread-safe.
class QueryPool {
 public:
  // Runs on a thread of the pool. Where the engine cannot be opened, the job gets to know why.
  using Job = std::function<void(Result<sql::Engine*>)>;

  explicit QueryPool(QueryPoolOptions options);
  ~QueryPool() { stop(); }

  // Readers get their turn one after the other, however many jobs each has waiting. Where too many
  // wait, the last job of whoever has most of them gets unavailable; false: that is this reader.
  // The engine of a job that is not done at its timeout, waiting included, is interrupted; one that
  // is not begun by then gets unavailable. So it is with a job whose `stop` says that nobody wants
  // it any more; any thread may call that.
  bool submit(const std::string& reader, Job job, StopCheck stop = {});

  // Drops what waits, interrupts what runs, and joins. Repeating is safe.
  void stop();

 private:
  struct Waiting {
    Job job;
    StopCheck stop;
    std::chrono::steady_clock::time_point deadline;

    bool is_unwanted() const { return stop && stop(); }
  };

  struct Worker {
    int number = 0;
    std::unique_ptr<sql::Engine> engine;
    int jobs_done = 0;                 // With that engine.
    const Waiting* running = nullptr;  // The job under way; there is an engine then.
    std::thread thread;
  };

  Waiting take_next();
  void run(Worker& worker);
  void watch();
  void work(Worker& worker, const Waiting& waiting);
  Result<void> open_engine(Worker& worker);

  const QueryPoolOptions options_;

  mutable std::mutex mutex_;  // Guards all below, but for a worker's use of its engine.
  std::condition_variable work_changed_;
  std::condition_variable deadlines_changed_;
  std::map<std::string, std::deque<Waiting>> jobs_;  // By reader; none is empty.
  std::size_t jobs_waiting_ = 0;
  std::string last_reader_;  // Who had the last turn.
  bool is_stopped_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread watcher_;
};

}  // namespace millrace::analytics
