// Appending to Kafka beside librdkafka alone, which sends the same values by the same settings from
// the buffers where they are. Processor time of all threads; the broker's does not count.
//
// Usage: PRODUCE_BENCH_BROKER=HOST:PORT PRODUCE_BENCH_TOPIC=NAME produce_bench [Google Benchmark's
// flags]
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "append_groups.h"
#include "base/assert.h"
#include "journal/kafka_journal.h"

namespace millrace::journal {
namespace {

constexpr Group single_records{1'000, 200};
constexpr Group batches_of_1000{16, 200'000};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    fmt::print(stderr, "produce_bench: {} is not set; usage is in bench/produce_bench.cc\n", name);
    std::exit(2);
  }
  return value;
}

KafkaOptions options() {
  return {.brokers = {variable("PRODUCE_BENCH_BROKER")}, .topic = variable("PRODUCE_BENCH_TOPIC")};
}

// Text that lz4 compresses about as it does log records.
std::string value_of(std::size_t size_bytes) {
  std::string value;
  for (std::size_t i = 0; value.size() < size_bytes; ++i) {
    value += fmt::format(R"({{"timestamp":"2026-02-01T00:00:{:02}.{:03}Z","path":"/docs/{}"}})",
                         i / 1000 % 60, i % 1000, i * 7919 % 5000);
  }
  value.resize(size_bytes);
  return value;
}

void append(benchmark::State& state, Group group) {
  MetricsRegistry metrics;
  const auto journal = *open_kafka_journal(options(), KafkaEnds::append, metrics);
  for (int waited = 0; journal->appender().failure(); ++waited) {
    MR_ASSERT(waited < 600);  // No broker answers.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::string value = value_of(group.entry_bytes);
  append_groups(state, journal->appender(), group, value);
}

struct Deliveries {
  std::size_t succeeded = 0;
  std::size_t failed = 0;
};

rd_kafka_t* make_producer(Deliveries& deliveries) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const KafkaOptions ours = options();
  const std::vector<std::pair<std::string, std::string>> properties = {
      {"bootstrap.servers", ours.brokers.front()},
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"compression.codec", ours.compression},
      {"linger.ms", std::to_string(ours.linger.count())},
      {"queue.buffering.max.kbytes", std::to_string(ours.queue_size_bytes_max / 1024 + 1)},
      {"queue.buffering.max.messages", "0"},
      {"message.max.bytes", std::to_string(ours.entry_size_bytes_max)},
  };
  char reason[512];
  for (const auto& [name, value] : properties) {
    MR_ASSERT(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)) ==
              RD_KAFKA_CONF_OK);
  }
  rd_kafka_conf_set_opaque(conf, &deliveries);
  rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* to) {
    auto& counted = *static_cast<Deliveries*>(to);
    ++(message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? counted.succeeded : counted.failed);
  });
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
  MR_ASSERT(producer != nullptr);
  return producer;
}

void librdkafka_alone(benchmark::State& state, Group group) {
  Deliveries deliveries;
  rd_kafka_t* producer = make_producer(deliveries);
  const std::string topic = options().topic;
  std::string value = value_of(group.entry_bytes);
  const auto deliver = [&](std::size_t messages) {
    const std::size_t wanted = deliveries.succeeded + messages;
    for (std::size_t i = 0; i < messages; ++i) {
      const auto error =
          rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(0),
                            RD_KAFKA_V_VALUE(value.data(), value.size()), RD_KAFKA_V_END);
      MR_ASSERT(error == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    while (deliveries.succeeded < wanted && deliveries.failed == 0) {
      rd_kafka_poll(producer, 100);
    }
  };
  deliver(1);  // Connects.
  for (auto round : state) deliver(group.entries);
  MR_ASSERT(deliveries.failed == 0);
  rd_kafka_destroy(producer);
  report(state, group);
}

BENCHMARK_CAPTURE(librdkafka_alone, single_records, single_records)
    ->Iterations(100)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(append, single_records, single_records)->Iterations(100)->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(librdkafka_alone, batches_of_1000, batches_of_1000)
    ->Iterations(30)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(append, batches_of_1000, batches_of_1000)
    ->Iterations(30)
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace millrace::journal
