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
#include <utility>

#include "base/units.h"
#include "http_client/client.h"
#include "shipper/compress.h"

namespace millrace::shipper {

namespace {

constexpr std::chrono::milliseconds retry_pause_first{100};
constexpr std::chrono::milliseconds retry_pause_max{10'000};

// Hands batches from the reader to the senders: at most `tasks_max` wait, which bounds the memory.
class TaskQueue {
 public:
  explicit TaskQueue(std::size_t tasks_max) : tasks_max_(tasks_max) {}

  void push(Delivery task) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.size() < tasks_max_; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }

  std::optional<Delivery> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
    if (tasks_.empty()) return std::nullopt;
    Delivery task = std::move(tasks_.front());
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
  std::deque<Delivery> tasks_;
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

// All would be refused alike.
bool is_refusal_of_sender(int status) {
  constexpr std::array refusals = {401, 403, 404, 405};
  return std::find(refusals.begin(), refusals.end(), status) != refusals.end();
}

std::string text_of(const Result<http_client::ClientResponse>& response) {
  if (!response) return response.error().message;
  return fmt::format("HTTP {}: {}", response->status, response->body.substr(0, 300));
}

}  // namespace

class Shipper::Impl {
 public:
  Impl(ShipperOptions options, ShipperProgress& progress, const std::atomic<bool>& stop,
       MessageSink on_message)
      : options_(std::move(options)),
        progress_(progress),
        stop_(stop),
        on_message_(std::move(on_message)),
        queue_(static_cast<std::size_t>(options_.connections) * 2) {
    for (int i = 0; i < options_.connections; ++i) {
      senders_.emplace_back([this] { deliver_all(); });
    }
  }

  bool send(Delivery delivery) {
    if (has_ended_) return false;
    queue_.push(std::move(delivery));
    return true;
  }

  void finish() {
    queue_.close();
    senders_.clear();
  }

 private:
  // What one sender needs for itself.
  struct Connection {
    explicit Connection(const ShipperOptions& options)
        : client({.timeout = options.request_timeout, .ca_file = options.ca_file}) {}
    http_client::Client client;
    std::minstd_rand random{std::random_device{}()};
  };

  void deliver_all() {
    Connection connection(options_);
    while (const auto delivery = queue_.pop()) {
      if (has_ended_) {
        progress_.records_undelivered += delivery->record_count;
      } else {
        deliver(*delivery, connection);
      }
    }
  }

  void deliver(const Delivery& delivery, Connection& connection) {
    const std::string url = options_.url + (options_.is_strict ? "/logs?strict=1" : "/logs");
    Headers headers = {{"Content-Type", content_type(delivery.format)},
                       {"Idempotency-Key", delivery.idempotency_key}};
    if (!options_.api_key.empty()) headers.emplace_back("X-API-Key", options_.api_key);
    std::string compressed;
    std::string_view body = delivery.body;
    if (options_.compression != Compression::none) {
      compressed = compress(delivery.body, options_.compression);
      body = compressed;
      headers.emplace_back("Content-Encoding",
                           options_.compression == Compression::gzip ? "gzip" : "zstd");
    }
    const auto start = std::chrono::steady_clock::now();
    auto pause = retry_pause_first;
    while (true) {
      const auto response = connection.client.post(url, headers, body);
      if (response && !is_retryable(response->status)) {
        progress_.bytes_sent += body.size();
        return finish(delivery, *response);
      }
      if (!response && response.error().code == Errc::invalid_argument) {
        return end(delivery, response.error().message);
      }
      // Half of the pause is random, so that many senders do not come back together.
      const auto jitter =
          pause * std::uniform_int_distribution<int>(0, 500)(connection.random) / 1000;
      const auto wait = std::max(response ? retry_after(*response) : std::chrono::milliseconds(0),
                                 pause / 2 + jitter);
      const auto now = std::chrono::steady_clock::now();
      if (stop_ || has_ended_ || now + wait > start + options_.retry_for) {
        return give_up(delivery, start, text_of(response));
      }
      if (!is_waiting_.exchange(true)) {
        tell(fmt::format("{}; trying again for {}", text_of(response),
                         format_duration(options_.retry_for)));
      }
      ++progress_.retries;
      std::this_thread::sleep_for(wait);
      pause = std::min(pause * 2, retry_pause_max);
    }
  }

  void finish(const Delivery& delivery, const http_client::ClientResponse& response) {
    const auto reply = nlohmann::json::parse(response.body, nullptr, false);
    const bool has_counts = reply.is_object() && reply.contains("accepted") &&
                            reply.contains("rejected") && reply["accepted"].is_number_unsigned() &&
                            reply["rejected"].is_number_unsigned();
    if (!has_counts && is_refusal_of_sender(response.status)) {
      return end(delivery, text_of(response));
    }
    is_waiting_ = false;
    note_success();
    if (!has_counts) {
      progress_.records_undelivered += delivery.record_count;
      return tell(fmt::format("{} was refused: {}", delivery.name, text_of(response)));
    }
    ++progress_.batches_sent;
    progress_.bytes_read += delivery.body.size();
    progress_.records_accepted += reply["accepted"].get<std::uint64_t>();
    progress_.records_rejected += reply["rejected"].get<std::uint64_t>();
    if (!reply.contains("errors") || !reply["errors"].is_array()) return;
    for (const auto& error : reply["errors"]) {
      tell(fmt::format("record {} of {}: {}: {}", error.value("index", 0), delivery.name,
                       error.value("field", ""), error.value("reason", "")));
    }
  }

  void note_success() {
    const std::lock_guard lock(mutex_);
    last_success_ = std::chrono::steady_clock::now();
  }

  // Of this batch; and of all where no other has fared better meanwhile.
  void give_up(const Delivery& delivery, std::chrono::steady_clock::time_point start,
               const std::string& reason) {
    bool is_alone = false;
    {
      const std::lock_guard lock(mutex_);
      is_alone = last_success_ >= start;
    }
    if (!is_alone) return end(delivery, reason);
    progress_.records_undelivered += delivery.record_count;
    tell(fmt::format("{} was not delivered: {}", delivery.name, reason));
  }

  void end(const Delivery& delivery, const std::string& reason) {
    progress_.records_undelivered += delivery.record_count;
    if (has_ended_.exchange(true)) return;
    tell(fmt::format("gave up at {}: {}", delivery.name, reason));
  }

  void tell(const std::string& text) {
    constexpr int messages_max = 20;
    const std::lock_guard lock(mutex_);
    if (message_count_++ < messages_max) on_message_(text);
  }

  const ShipperOptions options_;
  ShipperProgress& progress_;
  const std::atomic<bool>& stop_;
  const MessageSink on_message_;
  TaskQueue queue_;
  std::atomic<bool> has_ended_{false};
  std::atomic<bool> is_waiting_{false};  // Somebody knows that it does not go on.

  std::mutex mutex_;  // Guards everything below, and calls of on_message_.
  std::chrono::steady_clock::time_point last_success_ =
      std::chrono::steady_clock::time_point::min();
  int message_count_ = 0;

  std::vector<std::jthread> senders_;  // Joined first.
};

Shipper::Shipper(ShipperOptions options, ShipperProgress& progress, const std::atomic<bool>& stop,
                 MessageSink on_message)
    : impl_(std::make_unique<Impl>(std::move(options), progress, stop, std::move(on_message))) {}
Shipper::~Shipper() { finish(); }

bool Shipper::send(Delivery delivery) { return impl_->send(std::move(delivery)); }
void Shipper::finish() { impl_->finish(); }

namespace {

// False: no more can be sent.
Result<bool> ship_file(const ShipperOptions& options, const std::string& path,
                       const std::atomic<bool>& stop, Shipper& shipper) {
  MR_TRY_ASSIGN(auto source, open_source(path));
  BatchReader reader(std::move(source), path, options.format, options.limits);
  while (!stop) {
    MR_TRY_ASSIGN(auto batch, reader.next(stop));
    if (!batch) return true;
    std::string key = idempotency_key(*batch);
    const bool is_taken =
        shipper.send({.name = fmt::format("the batch at byte {} of {}", batch->offset_bytes, path),
                      .format = reader.format(),
                      .body = std::move(batch->body),
                      .record_count = batch->record_count,
                      .idempotency_key = std::move(key)});
    if (!is_taken) return false;
  }
  return true;
}

}  // namespace

bool ship_files(const ShipperOptions& options, const std::vector<std::string>& paths,
                const std::atomic<bool>& stop, ShipperProgress& progress,
                Shipper::MessageSink on_message) {
  Shipper shipper(options, progress, stop, on_message);
  bool is_all_read = true;
  std::vector<std::string> unread;
  for (const std::string& path : paths) {
    if (stop) break;
    const auto is_open = ship_file(options, path, stop, shipper);
    if (!is_open) unread.push_back(is_open.error().message);
    is_all_read = is_all_read && is_open.value_or(false);
    if (is_open && !*is_open) break;
  }
  shipper.finish();
  for (const std::string& message : unread) on_message(message);
  return is_all_read;
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
