#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "journal/kafka_options.h"

namespace millrace::journal {

// Owners of what librdkafka makes.
struct KafkaDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_headers_t* headers) const { rd_kafka_headers_destroy(headers); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  // A consumer has to leave its group before: here librdkafka would wait for that without end.
  void operator()(rd_kafka_t* client) const {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
  void operator()(rd_kafka_ConfigResource_t* resource) const {
    rd_kafka_ConfigResource_destroy(resource);
  }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(rd_kafka_TopicCollection_t* topics) const {
    rd_kafka_TopicCollection_destroy(topics);
  }
};
template <typename T>
using KafkaOwned = std::unique_ptr<T, KafkaDeleter>;
using KafkaConf = KafkaOwned<rd_kafka_conf_t>;
using KafkaClient = KafkaOwned<rd_kafka_t>;
using KafkaPartitions = KafkaOwned<rd_kafka_topic_partition_list_t>;

using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// What both ends of the journal say to librdkafka, and `own` of one end. librdkafka's log lines go
// to ours. Errors: invalid_argument, with librdkafka's reason.
Result<KafkaConf> make_kafka_conf(const KafkaOptions& options, const KafkaProperties& own);

// Takes the conf. Errors: invalid_argument, with librdkafka's reason.
Result<KafkaClient> make_kafka_client(rd_kafka_type_t type, KafkaConf conf);

// Which topic this is, for good: a topic that was deleted and made again has another id.
struct KafkaTopicIdentity {
  std::string cluster_id;
  std::string topic_id;
};

// Asks the brokers. Errors: not_found (no such topic, with the way out), unavailable.
Result<KafkaTopicIdentity> find_topic_identity(rd_kafka_t* client, const std::string& topic,
                                               std::chrono::milliseconds timeout);

// The topic's settings as they are in effect, by name ("min.insync.replicas").
// Errors: unavailable, also where the brokers do not let us know.
Result<std::map<std::string, std::string>> topic_settings(rd_kafka_t* client,
                                                          const std::string& topic,
                                                          std::chrono::milliseconds timeout);

// Whether each partition of the topic has a leader to write to. Errors: not_found, unavailable.
Result<void> probe_topic(rd_kafka_t* client, const std::string& topic,
                         std::chrono::milliseconds timeout);

// unavailable, with librdkafka's reason.
Error kafka_error(std::string_view doing, rd_kafka_resp_err_t code);

}  // namespace millrace::journal
