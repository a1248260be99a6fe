#include "journal/kafka_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"

namespace millrace::journal {

namespace {

// The promises rest on these: they are not for the configuration.
constexpr std::string_view own_properties[] = {
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
};

Result<void> set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 512> reason{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason.data(), reason.size()) ==
      RD_KAFKA_CONF_OK) {
    return {};
  }
  return fail(Errc::invalid_argument, fmt::format("Kafka property {}: {}", name, reason.data()));
}

void log_line(const rd_kafka_t*, int level, const char* facility, const char* text) {
  // Syslog's levels.
  const LogLevel ours = level <= 3   ? LogLevel::error
                        : level == 4 ? LogLevel::warn
                        : level <= 6 ? LogLevel::info
                                     : LogLevel::debug;
  log(ours, "kafka: the client says", {{"about", facility}, {"text", text}});
}

const char* security_name(KafkaSecurity security) {
  switch (security) {
    case KafkaSecurity::plaintext: return "plaintext";
    case KafkaSecurity::ssl: return "ssl";
    case KafkaSecurity::sasl_plaintext: return "sasl_plaintext";
    case KafkaSecurity::sasl_ssl: return "sasl_ssl";
  }
  return "plaintext";
}

KafkaProperties shared_properties(const KafkaOptions& options) {
  return {
      {"bootstrap.servers", fmt::format("{}", fmt::join(options.brokers, ","))},
      {"client.id", options.client_id},
      {"security.protocol", security_name(options.security)},
      {"ssl.ca.location", options.ssl_ca_file},
      {"ssl.certificate.location", options.ssl_certificate_file},
      {"ssl.key.location", options.ssl_key_file},
      {"ssl.key.password", options.ssl_key_password},
      {"sasl.mechanisms", options.sasl_mechanism},
      {"sasl.username", options.sasl_username},
      {"sasl.password", options.sasl_password},
      // A broker that comes back is found within a second.
      {"reconnect.backoff.max.ms", "1000"},
      {"topic.metadata.refresh.interval.ms", "10000"},
  };
}

Error no_topic(const std::string& topic) {
  return {Errc::not_found, fmt::format("the Kafka topic \"{}\" is not there: create it, or correct "
                                       "journal.kafka.topic",
                                       topic)};
}

}  // namespace

Result<void> check_kafka_property(const KafkaProperty& property) {
  const std::string& name = property.name;
  if (std::find(std::begin(own_properties), std::end(own_properties), name) !=
      std::end(own_properties)) {
    return fail(Errc::invalid_argument,
                fmt::format("\"{}\" is not for the configuration: what Millrace promises rests on "
                            "its own value",
                            name));
  }
  const KafkaConf conf(rd_kafka_conf_new());
  return set(conf.get(), name, property.value);
}

Result<void> check_kafka_options(const KafkaOptions& options) {
  if (options.brokers.empty()) {
    return fail(Errc::invalid_argument, "journal.kafka.brokers: want at least one HOST:PORT");
  }
  if (options.topic.empty()) return fail(Errc::invalid_argument, "journal.kafka.topic is empty");
  // A client is where librdkafka checks what depends on each other. This one has nobody to talk to.
  KafkaOptions offline = options;
  offline.brokers.clear();
  MR_TRY_ASSIGN(KafkaConf conf, make_kafka_conf(offline, {{"log_level", "0"}}));
  MR_TRY(make_kafka_client(RD_KAFKA_PRODUCER, std::move(conf)));
  return {};
}

Result<KafkaConf> make_kafka_conf(const KafkaOptions& options, const KafkaProperties& own) {
  KafkaConf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), log_line);
  for (const KafkaProperties& properties : {shared_properties(options), own}) {
    for (const auto& [name, value] : properties) {
      if (!value.empty()) MR_TRY(set(conf.get(), name, value));
    }
  }
  for (const auto& [name, value] : options.properties) MR_TRY(set(conf.get(), name, value));
  return conf;
}

Result<KafkaClient> make_kafka_client(rd_kafka_type_t type, KafkaConf conf) {
  std::array<char, 512> reason{};
  KafkaClient client(rd_kafka_new(type, conf.get(), reason.data(), reason.size()));
  if (!client) return fail(Errc::invalid_argument, fmt::format("Kafka: {}", reason.data()));
  static_cast<void>(conf.release());  // The client's now.
  return client;
}

namespace {

// Asks the brokers one thing, by one of librdkafka's admin calls, and waits for the answer.
template <typename Call>
Result<KafkaOwned<rd_kafka_event_t>> ask(rd_kafka_t* client, rd_kafka_admin_op_t operation,
                                         std::chrono::milliseconds timeout, Call call) {
  const int timeout_ms = static_cast<int>(timeout.count());
  const KafkaOwned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client));
  const KafkaOwned<rd_kafka_AdminOptions_t> options(rd_kafka_AdminOptions_new(client, operation));
  std::array<char, 256> reason{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms, reason.data(),
                                            reason.size());
  call(options.get(), queue.get());
  KafkaOwned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), timeout_ms));
  if (!event) return fail(Errc::unavailable, "asking for the Kafka topic: no answer in time");
  if (const auto code = rd_kafka_event_error(event.get())) {
    return tl::unexpected(kafka_error("asking for the Kafka topic", code));
  }
  return event;
}

}  // namespace

Result<std::map<std::string, std::string>> topic_settings(rd_kafka_t* client,
                                                          const std::string& topic,
                                                          std::chrono::milliseconds timeout) {
  const KafkaOwned<rd_kafka_ConfigResource_t> resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  rd_kafka_ConfigResource_t* asked = resource.get();
  MR_TRY_ASSIGN(const auto event,
                ask(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout,
                    [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                      rd_kafka_DescribeConfigs(client, &asked, 1, options, queue);
                    }));
  std::size_t count = 0;
  const auto* resources = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  if (count != 1) return tl::unexpected(no_topic(topic));
  if (const auto code = rd_kafka_ConfigResource_error(resources[0])) {
    return tl::unexpected(
        kafka_error(fmt::format("settings of the Kafka topic \"{}\"", topic), code));
  }
  std::map<std::string, std::string> settings;
  const auto* entries = rd_kafka_ConfigResource_configs(resources[0], &count);
  for (std::size_t i = 0; i < count; ++i) {
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    settings[rd_kafka_ConfigEntry_name(entries[i])] = value == nullptr ? "" : value;
  }
  return settings;
}

Result<KafkaTopicIdentity> find_topic_identity(rd_kafka_t* client, const std::string& topic,
                                               std::chrono::milliseconds timeout) {
  const char* name = topic.c_str();
  const KafkaOwned<rd_kafka_TopicCollection_t> topics(
      rd_kafka_TopicCollection_of_topic_names(&name, 1));
  MR_TRY_ASSIGN(const auto event,
                ask(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout,
                    [&](const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                      rd_kafka_DescribeTopics(client, topics.get(), options, queue);
                    }));
  std::size_t count = 0;
  const auto* descriptions = rd_kafka_DescribeTopics_result_topics(
      rd_kafka_event_DescribeTopics_result(event.get()), &count);
  if (count != 1) return tl::unexpected(no_topic(topic));
  const auto* error = rd_kafka_TopicDescription_error(descriptions[0]);
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return tl::unexpected(no_topic(topic));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return tl::unexpected(kafka_error(fmt::format("Kafka topic \"{}\"", topic), code));
  }
  const auto* id = rd_kafka_TopicDescription_topic_id(descriptions[0]);
  const std::unique_ptr<char, void (*)(void*)> cluster(
      rd_kafka_clusterid(client, static_cast<int>(timeout.count())),
      [](void* text) { rd_kafka_mem_free(nullptr, text); });
  if (!cluster) return fail(Errc::unavailable, "asking for the Kafka cluster's id: no answer");
  // Kafka's own tools show ids in the alphabet that is safe in paths.
  std::string topic_id = rd_kafka_Uuid_base64str(id);
  std::replace(topic_id.begin(), topic_id.end(), '+', '-');
  std::replace(topic_id.begin(), topic_id.end(), '/', '_');
  return KafkaTopicIdentity{cluster.get(), std::move(topic_id)};
}

Result<void> probe_topic(rd_kafka_t* client, const std::string& topic,
                         std::chrono::milliseconds timeout) {
  const KafkaOwned<rd_kafka_topic_t> handle(rd_kafka_topic_new(client, topic.c_str(), nullptr));
  const rd_kafka_metadata_t* answer = nullptr;
  const auto code =
      rd_kafka_metadata(client, 0, handle.get(), &answer, static_cast<int>(timeout.count()));
  const KafkaOwned<const rd_kafka_metadata_t> metadata(answer);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return tl::unexpected(kafka_error("asking the Kafka brokers", code));
  }
  if (metadata->topic_cnt != 1) return tl::unexpected(no_topic(topic));
  const rd_kafka_metadata_topic_t& found = metadata->topics[0];
  if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return tl::unexpected(no_topic(topic));
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return tl::unexpected(kafka_error(fmt::format("Kafka topic \"{}\"", topic), found.err));
  }
  for (int i = 0; i < found.partition_cnt; ++i) {
    if (found.partitions[i].leader >= 0) continue;
    return fail(Errc::unavailable,
                fmt::format("partition {} of the Kafka topic \"{}\" has no leader",
                            found.partitions[i].id, topic));
  }
  return {};
}

Error kafka_error(std::string_view doing, rd_kafka_resp_err_t code) {
  return {Errc::unavailable, fmt::format("{}: {}", doing, rd_kafka_err2str(code))};
}

}  // namespace millrace::journal
