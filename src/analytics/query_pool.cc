#include "analytics/query_pool.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace millrace::analytics {

namespace {

constexpr std::chrono::milliseconds interrupt_interval{10};
constexpr std::chrono::milliseconds stop_check_interval{100};

// DuckDB keeps the footers of all files that an engine has read, also of those that are gone.
constexpr int jobs_per_engine = 1'000;

}  // namespace

QueryPool::QueryPool(QueryPoolOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.threads; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.number = i;
    worker.thread = std::thread([this, &worker] { run(worker); });
    pthread_setname_np(worker.thread.native_handle(), fmt::format("query-{}", i).c_str());
  }
  watcher_ = std::thread([this] { watch(); });
  pthread_setname_np(watcher_.native_handle(), "query-watch");
}

bool QueryPool::submit(const std::string& reader, Job job, StopCheck stop) {
  std::optional<Waiting> displaced;
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return false;
    if (jobs_waiting_ >= options_.waiting_max) {
      const auto own = jobs_.find(reader);
      const std::size_t own_waiting = own == jobs_.end() ? 0 : own->second.size();
      auto& most = std::ranges::max_element(jobs_, {}, [](const auto& entry) {
                     return entry.second.size();
                   })->second;
      if (most.size() <= own_waiting + 1) return false;
      displaced = std::move(most.back());
      most.pop_back();
      --jobs_waiting_;
    }
    jobs_[reader].push_back(
        {std::move(job), std::move(stop), std::chrono::steady_clock::now() + options_.timeout});
    ++jobs_waiting_;
  }
  work_changed_.notify_one();
  if (displaced)
    displaced->job(fail(Errc::unavailable, "too many questions wait (query.waiting_max)"));
  return true;
}

QueryPool::Waiting QueryPool::take_next() {
  auto next = jobs_.upper_bound(last_reader_);
  if (next == jobs_.end()) next = jobs_.begin();
  last_reader_ = next->first;
  Waiting waiting = std::move(next->second.front());
  next->second.pop_front();
  if (next->second.empty()) jobs_.erase(next);
  --jobs_waiting_;
  return waiting;
}

void QueryPool::stop() {
  std::map<std::string, std::deque<Waiting>> dropped;
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    dropped = std::exchange(jobs_, {});
    jobs_waiting_ = 0;
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
    Waiting waiting;
    {
      std::unique_lock lock(mutex_);
      work_changed_.wait(lock, [this] { return is_stopped_ || !jobs_.empty(); });
      if (is_stopped_) return;
      waiting = take_next();
    }
    try {
      work(worker, waiting);
    } catch (const std::exception& error) {
      log(LogLevel::error, "query: a question failed", {{"reason", error.what()}});
    }
    std::unique_ptr<sql::Engine> used_up;
    const std::lock_guard lock(mutex_);
    worker.running = nullptr;
    if (!worker.engine) continue;
    const bool goes_on = worker.engine->is_usable() && ++worker.jobs_done < jobs_per_engine;
    if (!goes_on) used_up = std::move(worker.engine);
    if (used_up && !used_up->is_usable() && !used_up->is_interrupted()) {
      log(LogLevel::error, "query: the SQL engine is of no use any more; opening another", {});
    }
  }
}

void QueryPool::work(Worker& worker, const Waiting& waiting) {
  if (waiting.deadline <= std::chrono::steady_clock::now()) {
    return waiting.job(
        fail(Errc::unavailable, "the question waited longer than query.timeout for others"));
  }
  if (waiting.is_unwanted()) {
    return waiting.job(fail(Errc::unavailable, "nobody waits for the answer any more"));
  }
  if (!worker.engine) {
    if (auto opened = open_engine(worker); !opened)
      return waiting.job(tl::unexpected(opened.error()));
  }
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return;
    worker.running = &waiting;
  }
  deadlines_changed_.notify_one();
  waiting.job(worker.engine.get());
}

Result<void> QueryPool::open_engine(Worker& worker) {
  sql::EngineOptions options = options_.engine;
  if (!options.temporary_directory.empty()) {
    options.temporary_directory += fmt::format("-{}", worker.number);
  }
  MR_TRY_ASSIGN(auto opened, sql::Engine::open(options));
  if (options_.keeps_footers) MR_TRY(opened->execute("SET parquet_metadata_cache = true"));
  const std::lock_guard lock(mutex_);
  worker.engine = std::move(opened);
  worker.jobs_done = 0;
  return {};
}

void QueryPool::watch() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    std::optional<std::chrono::steady_clock::time_point> next;
    for (const auto& worker : workers_) {
      if (worker->running == nullptr) continue;
      const Waiting& job = *worker->running;
      // Again and again: DuckDB forgets an interrupt that comes while it prepares a statement.
      const bool is_over = is_stopped_ || job.deadline <= now || job.is_unwanted();
      if (is_over) worker->engine->interrupt();
      const auto look_at =
          is_over
              ? now + interrupt_interval
              : std::min(job.deadline, now + (job.stop ? stop_check_interval : options_.timeout));
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
