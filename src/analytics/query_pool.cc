#include "analytics/query_pool.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

#include "base/log.h"

namespace millrace::analytics {

namespace {

constexpr std::chrono::milliseconds interrupt_interval{10};

}  // namespace

QueryPool::QueryPool(QueryPoolOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.threads; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.thread = std::thread([this, &worker] { run(worker); });
    pthread_setname_np(worker.thread.native_handle(), fmt::format("query-{}", i).c_str());
  }
  watcher_ = std::thread([this] { watch(); });
  pthread_setname_np(watcher_.native_handle(), "query-watch");
}

bool QueryPool::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_ || jobs_.size() >= options_.waiting_max) return false;
    jobs_.push_back(std::move(job));
  }
  work_changed_.notify_one();
  return true;
}

std::size_t QueryPool::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void QueryPool::stop() {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    dropped = std::exchange(jobs_, {});
    for (const auto& worker : workers_) {
      if (worker->deadline) worker->deadline = std::chrono::steady_clock::now();
    }
  }
  work_changed_.notify_all();
  deadlines_changed_.notify_all();
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  if (watcher_.joinable()) watcher_.join();
}

void QueryPool::run(Worker& worker) {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      work_changed_.wait(lock, [this] { return is_stopped_ || !jobs_.empty(); });
      if (is_stopped_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      work(worker, job);
    } catch (const std::exception& error) {
      log(LogLevel::error, "query: a question failed", {{"reason", error.what()}});
    }
    const std::lock_guard lock(mutex_);
    worker.deadline.reset();
    // An interrupted engine runs nothing more.
    if (worker.engine && worker.engine->is_interrupted()) worker.engine.reset();
  }
}

void QueryPool::work(Worker& worker, const Job& job) {
  if (!worker.engine) {
    auto opened = sql::Engine::open(options_.engine);
    if (!opened) return job(tl::unexpected(opened.error()));
    const auto set = (*opened)->execute("SET parquet_metadata_cache = true");
    if (!set) return job(tl::unexpected(set.error()));
    const std::lock_guard lock(mutex_);
    worker.engine = *std::move(opened);
  }
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return;
    worker.deadline = std::chrono::steady_clock::now() + options_.timeout;
  }
  deadlines_changed_.notify_one();
  job(worker.engine.get());
}

void QueryPool::watch() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    std::optional<std::chrono::steady_clock::time_point> next;
    for (const auto& worker : workers_) {
      if (!worker->deadline) continue;
      // Again and again: DuckDB forgets an interrupt that comes while it prepares a statement.
      const bool is_late = *worker->deadline <= now;
      if (is_late) worker->engine->interrupt();
      const auto look_at = is_late ? now + interrupt_interval : *worker->deadline;
      if (!next || look_at < *next) next = look_at;
    }
    if (next) {
      deadlines_changed_.wait_until(lock, *next);
    } else if (is_stopped_) {
      return;
    } else {
      deadlines_changed_.wait(lock);
    }
  }
}

}  // namespace millrace::analytics
