#include "journal/kafka_appender.h"

#include <fmt/format.h>
#include <pthread.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "base/log.h"

namespace millrace::journal {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds poll_timeout{100};
constexpr milliseconds probe_interval{1'000};
constexpr milliseconds probe_timeout{1'000};
// What the protocol adds to an entry of ours, generously: KIP-98's record with some headers.
constexpr std::size_t message_overhead_bytes = 16 * 1024;

std::size_t size_bytes_of(const Entry& entry) {
  std::size_t size = entry.key.size() + entry.value.size();
  for (const auto& [name, value] : entry.headers) size += name.size() + value.size();
  return size;
}

rd_kafka_headers_t* headers_of(const Entry& entry) {
  rd_kafka_headers_t* headers = rd_kafka_headers_new(entry.headers.size());
  for (const auto& [name, value] : entry.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  return headers;
}

}  // namespace

// An entry on its way. librdkafka reads the value where it is.
struct KafkaAppender::Pending {
  Entry entry;
  OnDurable on_durable;
  std::size_t size_bytes = 0;
  steady_clock::time_point start;
};

Result<std::unique_ptr<KafkaAppender>> KafkaAppender::open(KafkaOptions options,
                                                           MetricsRegistry& metrics) {
  std::unique_ptr<KafkaAppender> appender(new KafkaAppender(std::move(options), metrics));
  MR_TRY_ASSIGN(appender->producer_, appender->make_producer());
  appender->thread_ = std::thread([self = appender.get()] { self->run(); });
  pthread_setname_np(appender->thread_.native_handle(), "kafka-append");
  return appender;
}

KafkaAppender::KafkaAppender(KafkaOptions options, MetricsRegistry& metrics)
    : options_(std::move(options)),
      entries_(metrics.counter("millrace_journal_entries_appended_total",
                               "Entries that were made durable.")),
      bytes_(metrics.counter("millrace_journal_appended_bytes_total",
                             "Bytes of the entries that were made durable.")),
      failures_(metrics.counter("millrace_journal_append_failures_total",
                                "Entries that were not confirmed as durable.")),
      duration_(metrics.histogram("millrace_journal_commit_duration_seconds",
                                  "How long making entries durable took.",
                                  duration_seconds_buckets())),
      waiting_(
          metrics.gauge("millrace_journal_waiting_entries", "Entries that wait for the brokers.")),
      failure_("the Kafka brokers have not answered yet") {}

Result<std::shared_ptr<rd_kafka_t>> KafkaAppender::make_producer() {
  const std::string queue_kbytes = std::to_string(options_.queue_size_bytes_max / 1024 + 1);
  const std::string message_bytes =
      std::to_string(options_.entry_size_bytes_max + message_overhead_bytes);
  MR_TRY_ASSIGN(KafkaConf conf,
                make_kafka_conf(options_, {{"enable.idempotence", "true"},
                                           {"acks", "all"},
                                           {"partitioner", "murmur2_random"},
                                           {"compression.codec", options_.compression},
                                           {"linger.ms", std::to_string(options_.linger.count())},
                                           {"delivery.timeout.ms",
                                            std::to_string(options_.delivery_timeout.count())},
                                           {"queue.buffering.max.kbytes", queue_kbytes},
                                           {"queue.buffering.max.messages", "0"},
                                           {"message.max.bytes", message_bytes}}));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  MR_TRY_ASSIGN(KafkaClient client, make_kafka_client(RD_KAFKA_PRODUCER, std::move(conf)));
  return std::shared_ptr<rd_kafka_t>(std::move(client));
}

std::shared_ptr<rd_kafka_t> KafkaAppender::producer() const {
  const std::lock_guard lock(mutex_);
  return is_closed_ ? nullptr : producer_;
}

Result<void> KafkaAppender::append(Entry entry, OnDurable on_durable) {
  const std::size_t size_bytes = size_bytes_of(entry);
  if (size_bytes > options_.entry_size_bytes_max) {
    return fail(Errc::invalid_argument,
                fmt::format("the batch has {} bytes in its stored form, more than the limit of {} "
                            "(journal.entry_size_max): send fewer records at once",
                            size_bytes, options_.entry_size_bytes_max));
  }
  const auto client = producer();
  if (!client) return fail(Errc::unavailable, "the journal is closed");
  KafkaOwned<rd_kafka_headers_t> headers(headers_of(entry));
  auto pending = std::make_unique<Pending>(
      Pending{std::move(entry), std::move(on_durable), size_bytes, steady_clock::now()});
  const rd_kafka_resp_err_t code = produce(client.get(), *pending, headers.get());
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      // Both are on_delivery()'s now.
      static_cast<void>(headers.release());
      static_cast<void>(pending.release());
      return {};
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return fail(Errc::exhausted,
                  "too many entries wait for the Kafka brokers (journal.queue_size_max)");
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return fail(Errc::invalid_argument, "the entry is larger than Kafka's message.max.bytes");
    default: return tl::unexpected(kafka_error("appending to Kafka", code));
  }
}

rd_kafka_resp_err_t KafkaAppender::produce(rd_kafka_t* client, Pending& pending,
                                           rd_kafka_headers_t* headers) const {
  Entry& entry = pending.entry;
  std::array<rd_kafka_vu_t, 5> parts{};
  parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
  parts[0].u.cstr = options_.topic.c_str();
  parts[1].vtype = RD_KAFKA_VTYPE_KEY;
  // Without a key, entries that come together go to one partition and are sent as one: entries of
  // one record cost half of what they cost spread over six.
  parts[1].u.mem = {entry.key.empty() ? nullptr : entry.key.data(), entry.key.size()};
  parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[2].u.mem = {entry.value.data(), entry.value.size()};
  parts[3].vtype = RD_KAFKA_VTYPE_HEADERS;
  parts[3].u.headers = headers;
  parts[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[4].u.ptr = &pending;
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_produceva(client, parts.data(), parts.size()));
  return error ? rd_kafka_error_code(error.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::optional<std::string> KafkaAppender::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void KafkaAppender::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void KafkaAppender::run() {
  auto probe_at = steady_clock::now();
  while (true) {
    const auto client = [this] {
      const std::lock_guard lock(mutex_);
      return producer_;
    }();
    rd_kafka_poll(client.get(), static_cast<int>(poll_timeout.count()));
    waiting_.set(rd_kafka_outq_len(client.get()));
    bool is_closed = false;
    bool is_broken = false;
    bool is_failing = false;
    {
      const std::lock_guard lock(mutex_);
      is_closed = is_closed_;
      is_broken = std::exchange(is_broken_, false);
      is_failing = failure_.has_value();
    }
    if (is_closed && rd_kafka_outq_len(client.get()) == 0) return;
    if (is_broken) replace_producer();
    if (is_failing && !is_broken && !is_closed && steady_clock::now() >= probe_at) {
      probe();
      probe_at = steady_clock::now() + probe_interval;
    }
  }
}

// A load balancer that saw the failure sends nothing any more: somebody has to find out that it is
// over. Where the brokers answer and refuse to write all the same, the next entry tells.
void KafkaAppender::probe() {
  const auto client = producer();
  if (!client) return;
  if (const auto probed = probe_topic(client.get(), options_.topic, probe_timeout); !probed) {
    note_failure(probed.error().message);
  } else {
    note_success();
    if (!std::exchange(is_topic_checked_, true)) check_topic(client.get());
  }
}

// What somebody who set the topic up should know of before the day on which it matters.
void KafkaAppender::check_topic(rd_kafka_t* client) {
  const auto settings = topic_settings(client, options_.topic, probe_timeout);
  if (!settings) {
    log(LogLevel::debug, "kafka: the topic's settings are not known",
        {{"reason", settings.error().message}});
    return;
  }
  const auto number_of = [&](const std::string& name) -> std::int64_t {
    const auto found = settings->find(name);
    return found == settings->end() ? 0 : std::strtoll(found->second.c_str(), nullptr, 10);
  };
  if (number_of("min.insync.replicas") < 2) {
    log(LogLevel::warn,
        "kafka: a 202 rests on a single broker's memory: set min.insync.replicas of the topic to 2 "
        "or more, with 3 replicas, to survive its loss of power",
        {{"topic", options_.topic}, {"min.insync.replicas", number_of("min.insync.replicas")}});
  }
  const auto size_max = number_of("max.message.bytes");
  if (size_max > 0 && size_max < static_cast<std::int64_t>(options_.entry_size_bytes_max)) {
    log(LogLevel::warn,
        "kafka: the topic takes less than journal.entry_size_max; larger batches get 413",
        {{"topic", options_.topic},
         {"max.message.bytes", size_max},
         {"entry_size_max", options_.entry_size_bytes_max}});
  }
}

void KafkaAppender::replace_producer() {
  auto made = make_producer();
  if (!made) {
    const std::lock_guard lock(mutex_);
    failure_ = made.error().message;
    is_broken_ = true;  // To be tried again.
    return;
  }
  log(LogLevel::warn, "kafka: replaced the producer after an error that it cannot recover from");
  std::shared_ptr<rd_kafka_t> broken;
  {
    const std::lock_guard lock(mutex_);
    broken = std::exchange(producer_, *std::move(made));
  }
  rd_kafka_purge(broken.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  // An append() under way may still hold it and add one more.
  while (rd_kafka_outq_len(broken.get()) > 0 || broken.use_count() > 1) {
    rd_kafka_poll(broken.get(), static_cast<int>(poll_timeout.count()));
    rd_kafka_purge(broken.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  }
}

void KafkaAppender::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* appender) {
  auto* self = static_cast<KafkaAppender*>(appender);
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(message->_private));
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->note_success();
    return self->answer(*pending, Offset(message->offset));
  }
  Error error = kafka_error("the Kafka brokers did not confirm the entry", message->err);
  if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
    error = {Errc::invalid_argument,
             "the entry is larger than the Kafka topic allows (its max.message.bytes)"};
  } else {
    self->note_failure(error.message);
  }
  self->failures_.add();
  self->answer(*pending, tl::unexpected(std::move(error)));
}

void KafkaAppender::on_error(rd_kafka_t* client, int code, const char* reason, void* appender) {
  auto* self = static_cast<KafkaAppender*>(appender);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 512> text{};
    rd_kafka_fatal_error(client, text.data(), text.size());
    self->note_failure(fmt::format("Kafka producer: {}", text.data()));
    const std::lock_guard lock(self->mutex_);
    self->is_broken_ = true;
  } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
             code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
             code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
    self->note_failure(fmt::format("Kafka: {}", reason));
  }
}

void KafkaAppender::answer(Pending& pending, Result<Offset> offset) {
  duration_.observe(std::chrono::duration<double>(steady_clock::now() - pending.start).count());
  if (offset) {
    entries_.add();
    bytes_.add(static_cast<double>(pending.size_bytes));
  }
  pending.on_durable(std::move(offset));
}

void KafkaAppender::note_failure(std::string reason) {
  const std::lock_guard lock(mutex_);
  if (failure_ != reason) {
    log(LogLevel::error, "journal: appending failed; clients get 503 until it works again",
        {{"reason", reason}});
  }
  failure_ = std::move(reason);
}

void KafkaAppender::note_success() {
  const std::lock_guard lock(mutex_);
  if (failure_) log(LogLevel::info, "journal: appending works");
  failure_.reset();
}

}  // namespace millrace::journal
