#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/metrics.h"
#include "journal/journal.h"
#include "journal/kafka_client.h"

namespace millrace::journal {

// Appends to a topic by an idempotent producer that waits for all in-sync replicas. An entry goes
// to the partition that its key's hash (murmur2, as Kafka's Java client has it) says.
//
// An entry that the brokers did not confirm in time is answered with unavailable: it may or may not
// be in the journal. A producer that librdkafka calls broken for good is replaced.
class KafkaAppender final : public Appender {
 public:
  // Starts the thread that answers; brokers that are away are no error. `metrics` must outlive it.
  // Errors: invalid_argument.
  static Result<std::unique_ptr<KafkaAppender>> open(KafkaOptions options,
                                                     MetricsRegistry& metrics);
  ~KafkaAppender() override { close(); }

  Result<void> append(Entry entry, OnDurable on_durable) override;
  std::size_t entry_size_bytes_max() const override { return options_.entry_size_bytes_max; }
  std::optional<std::string> failure() const override;

  // Refuses later appends, and waits until all others are answered. Repeating is safe.
  void close();

 private:
  struct Pending;

  KafkaAppender(KafkaOptions options, MetricsRegistry& metrics);

  static void on_delivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* appender);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* appender);

  Result<std::shared_ptr<rd_kafka_t>> make_producer();
  // Where it fails, `pending` and `headers` stay the caller's.
  rd_kafka_resp_err_t produce(rd_kafka_t* client, Pending& pending,
                              rd_kafka_headers_t* headers) const;
  std::shared_ptr<rd_kafka_t> producer() const;
  void run();
  void probe();
  void check_topic(rd_kafka_t* client);
  void replace_producer();
  void answer(Pending& pending, Result<Offset> offset);
  void note_failure(std::string reason);
  void note_success();

  const KafkaOptions options_;
  Counter& entries_;
  Counter& bytes_;
  Counter& failures_;
  Histogram& duration_;
  Gauge& waiting_;
  bool is_topic_checked_ = false;  // By the thread.

  mutable std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  std::shared_ptr<rd_kafka_t> producer_;
  std::optional<std::string> failure_;
  bool is_closed_ = false;
  bool is_broken_ = false;  // The producer, for good.

  std::thread thread_;
};

}  // namespace millrace::journal
