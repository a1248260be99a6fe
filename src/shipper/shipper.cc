#include "shipper/shipper.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <thread>

#include "http_client/client.h"
#include "shipper/compress.h"

namespace millrace::shipper {

namespace {

constexpr std::size_t problems_max = 20;
constexpr std::chrono::milliseconds retry_pause_first{100};
constexpr std::chrono::milliseconds retry_pause_max{10'000};

struct Task {
  InputBatch batch;
  InputFormat format;
};

// Hands batches from the reader to the senders: at most `tasks_max` wait, which bounds the memory.
class TaskQueue {
 public:
  explicit TaskQueue(std::size_t tasks_max) : tasks_max_(tasks_max) {}

  void push(Task task) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.size() < tasks_max_; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

  std::optional<Task> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
    if (tasks_.empty()) return std::nullopt;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    changed_.notify_all();
    return task;
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  const std::size_t tasks_max_;

  std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool closed_ = false;
};

const char* content_type(InputFormat format) {
  switch (format) {
    case InputFormat::json: return "application/json";
    case InputFormat::ndjson: return "application/x-ndjson";
    case InputFormat::csv: return "text/csv";
    case InputFormat::combined:
    case InputFormat::detect: break;
  }
  return "text/plain";
}

bool is_retryable(int status) {
  constexpr std::array retryable = {408, 429, 500, 502, 503, 504};
  return std::find(retryable.begin(), retryable.end(), status) != retryable.end();
}

std::chrono::milliseconds retry_after(const http_client::ClientResponse& response) {
  const std::string_view text = response.header("retry-after");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(std::clamp(seconds, 0, 3600));
}

// Sends batches over one connection until the queue is closed and empty.
class Sender {
 public:
  Sender(const ShipperOptions& options, TaskQueue& queue, ShipperProgress& progress,
         std::mutex& problems_mutex, std::vector<std::string>& problems)
      : options_(options),
        queue_(queue),
        progress_(progress),
        problems_mutex_(problems_mutex),
        problems_(problems),
        client_(options.request_timeout) {}

  void run() {
    while (const auto task = queue_.pop()) deliver(*task);
  }

 private:
  void deliver(const Task& task) {
    const std::string url = options_.url + "/logs";
    Headers headers = {{"Content-Type", content_type(task.format)},
                       {"Idempotency-Key", idempotency_key(task.batch)}};
    if (!options_.api_key.empty()) headers.emplace_back("X-API-Key", options_.api_key);
    std::string compressed;
    std::string_view body = task.batch.body;
    if (options_.compression != Compression::none) {
      compressed = compress(task.batch.body, options_.compression);
      body = compressed;
      headers.emplace_back("Content-Encoding",
                           options_.compression == Compression::gzip ? "gzip" : "zstd");
    }
    const auto give_up_at = std::chrono::steady_clock::now() + options_.retry_for;
    auto pause = retry_pause_first;
    while (true) {
      const auto response = client_.post(url, headers, body);
      std::chrono::milliseconds wait_min{0};
      if (response && !is_retryable(response->status)) {
        progress_.bytes_sent += body.size();
        return finish(task, *response);
      }
      if (!response && response.error().code == Errc::invalid_argument) {
        return give_up(task, response.error().message);
      }
      if (response) wait_min = retry_after(*response);
      // Half of the pause is random, so that many senders do not come back together.
      const auto jitter = pause * std::uniform_int_distribution<int>(0, 500)(random_) / 1000;
      const auto wait = std::max(wait_min, pause / 2 + jitter);
      if (std::chrono::steady_clock::now() + wait > give_up_at) {
        return give_up(task, response ? fmt::format("HTTP {}: {}", response->status, response->body)
                                      : response.error().message);
      }
      ++progress_.retries;
      std::this_thread::sleep_for(wait);
      pause = std::min(pause * 2, retry_pause_max);
    }
  }

  void finish(const Task& task, const http_client::ClientResponse& response) {
    const auto reply = nlohmann::json::parse(response.body, nullptr, false);
    const bool has_counts = reply.is_object() && reply.contains("accepted") &&
                            reply.contains("rejected") && reply["accepted"].is_number_unsigned() &&
                            reply["rejected"].is_number_unsigned();
    ++progress_.batches_sent;
    progress_.bytes_read += task.batch.body.size();
    if (has_counts) {
      progress_.records_accepted += reply["accepted"].get<std::uint64_t>();
      progress_.records_rejected += reply["rejected"].get<std::uint64_t>();
      report_rejects(task, reply);
      return;
    }
    progress_.records_rejected += task.batch.record_count;
    add_problem(fmt::format("the batch at byte {} was refused: HTTP {}: {}",
                            task.batch.offset_bytes, response.status,
                            response.body.substr(0, 300)));
  }

  void report_rejects(const Task& task, const nlohmann::json& reply) {
    if (!reply.contains("errors") || !reply["errors"].is_array()) return;
    for (const auto& error : reply["errors"]) {
      add_problem(fmt::format("record {} of the batch at byte {}: {}: {}", error.value("index", 0),
                              task.batch.offset_bytes, error.value("field", ""),
                              error.value("reason", "")));
    }
  }

  void give_up(const Task& task, const std::string& reason) {
    progress_.records_undelivered += task.batch.record_count;
    add_problem(
        fmt::format("the batch at byte {} was not delivered: {}", task.batch.offset_bytes, reason));
  }

  void add_problem(std::string text) {
    const std::lock_guard lock(problems_mutex_);
    if (problems_.size() < problems_max) problems_.push_back(std::move(text));
  }

  const ShipperOptions& options_;
  TaskQueue& queue_;
  ShipperProgress& progress_;
  std::mutex& problems_mutex_;
  std::vector<std::string>& problems_;
  http_client::Client client_;
  std::minstd_rand random_{std::random_device{}()};
};

Result<void> read_all(const ShipperOptions& options, const std::vector<std::string>& paths,
                      const std::atomic<bool>& stop, TaskQueue& queue) {
  for (const std::string& path : paths) {
    MR_TRY_ASSIGN(auto source, open_source(path));
    BatchReader reader(std::move(source), path, options.format, options.limits);
    while (!stop) {
      MR_TRY_ASSIGN(auto batch, reader.next());
      if (!batch) break;
      queue.push({*std::move(batch), reader.format()});
    }
  }
  return {};
}

}  // namespace

Result<void> ship(const ShipperOptions& options, const std::vector<std::string>& paths,
                  const std::atomic<bool>& stop, ShipperProgress& progress,
                  std::vector<std::string>& problems) {
  TaskQueue queue(static_cast<std::size_t>(options.connections) * 2);
  std::mutex problems_mutex;
  Result<void> outcome;
  {
    std::vector<std::jthread> senders;
    for (int i = 0; i < options.connections; ++i) {
      senders.emplace_back(
          [&] { Sender(options, queue, progress, problems_mutex, problems).run(); });
    }
    outcome = read_all(options, paths, stop, queue);
    queue.close();
  }
  return outcome;
}

Result<Compression> parse_compression(std::string_view text) {
  if (text == "none") return Compression::none;
  if (text == "gzip") return Compression::gzip;
  if (text == "zstd") return Compression::zstd;
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a compression (want none, gzip or zstd)", text));
}

std::string idempotency_key(const InputBatch& batch) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(batch.body.data()), batch.body.size(),
         digest.data());
  std::string key;
  for (std::size_t i = 0; i < 16; ++i) key += fmt::format("{:02x}", digest[i]);
  return fmt::format("{}-{}", key, batch.offset_bytes);
}

}  // namespace millrace::shipper
