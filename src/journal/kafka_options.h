#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace millrace::journal {

struct KafkaProperty {
  std::string name;
  std::string value;
};

enum class KafkaSecurity : std::uint8_t { plaintext, ssl, sasl_plaintext, sasl_ssl };

// How to reach a topic of a Kafka cluster. The names follow librdkafka's CONFIGURATION.md.
struct KafkaOptions {
  std::vector<std::string> brokers{"localhost:19092"};
  std::string topic = "millrace";
  std::string client_id = "millrace";

  KafkaSecurity security = KafkaSecurity::plaintext;
  std::string ssl_ca_file{};
  std::string ssl_certificate_file{};
  std::string ssl_key_file{};
  std::string ssl_key_password{};
  std::string sasl_mechanism{};
  std::string sasl_username{};
  std::string sasl_password{};

  // Appending.
  std::string compression = "lz4";
  std::chrono::milliseconds linger{2};
  // An append is answered within this time, whatever the brokers do.
  std::chrono::milliseconds delivery_timeout{30'000};
  std::size_t entry_size_bytes_max = 48UL << 20;
  // Entries that wait for the brokers.
  std::size_t queue_size_bytes_max = 64UL << 20;

  // Consuming.
  std::string group = "millrace-writer";
  std::string group_instance_id{};  // Not empty: static membership.
  std::chrono::milliseconds session_timeout{45'000};
  // A consumer that does not poll for this long loses its partitions.
  std::chrono::milliseconds max_poll_interval{300'000};
  // What one poll returns, about.
  std::size_t poll_size_bytes_max = 4UL << 20;

  // Any other property of librdkafka. They win over the ones above.
  std::vector<KafkaProperty> properties{};
};

// Whether it is a property of librdkafka that may be set, with such a value.
// Errors: invalid_argument; the value is not repeated.
Result<void> check_kafka_property(const KafkaProperty& property);

// Whether librdkafka takes all of them together. Errors: invalid_argument.
Result<void> check_kafka_options(const KafkaOptions& options);

}  // namespace millrace::journal
