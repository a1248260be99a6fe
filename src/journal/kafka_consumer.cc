#include "journal/kafka_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/units.h"

namespace millrace::journal {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds broker_timeout{10'000};
// The others of the group wait for session_timeout where a member could not say that it leaves.
constexpr milliseconds leave_timeout{5'000};

std::vector<Partition> partitions_of(const rd_kafka_topic_partition_list_t* list) {
  std::vector<Partition> partitions;
  for (int i = 0; i < list->cnt; ++i) partitions.emplace_back(list->elems[i].partition);
  return partitions;
}

KafkaPartitions list_of(const std::string& topic, Partition partition, std::int64_t offset) {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition.value())->offset = offset;
  return list;
}

std::optional<Timestamp> appended_at(const rd_kafka_message_t& message) {
  rd_kafka_timestamp_type_t type{};
  const std::int64_t milliseconds_since_1970 = rd_kafka_message_timestamp(&message, &type);
  if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) return std::nullopt;
  return Timestamp(milliseconds(milliseconds_since_1970));
}

Entry entry_of(const rd_kafka_message_t& message) {
  const auto text = [](const void* bytes, std::size_t size) {
    return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
  };
  Entry entry{.key = text(message.key, message.key_len),
              .value = text(message.payload, message.len),
              .headers = {}};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return entry;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    entry.headers.emplace_back(name, text(value, size));
  }
  return entry;
}

}  // namespace

Result<std::unique_ptr<KafkaConsumer>> KafkaConsumer::open(KafkaOptions options, Listener& listener,
                                                           MetricsRegistry& metrics) {
  const std::string fetch_bytes =
      std::to_string(std::max<std::size_t>(options.entry_size_bytes_max, 1 << 20) + (64 << 10));
  MR_TRY_ASSIGN(
      KafkaConf conf,
      make_kafka_conf(options,
                      {{"group.id", options.group},
                       {"group.instance.id", options.group_instance_id},
                       {"session.timeout.ms", std::to_string(options.session_timeout.count())},
                       {"max.poll.interval.ms", std::to_string(options.max_poll_interval.count())},
                       {"partition.assignment.strategy", "cooperative-sticky"},
                       {"enable.auto.commit", "false"},
                       {"enable.auto.offset.store", "false"},
                       // The position comes from the table: a wrong one must not pass.
                       {"auto.offset.reset", "error"},
                       {"isolation.level", "read_committed"},
                       {"enable.partition.eof", "true"},
                       {"fetch.message.max.bytes", fetch_bytes},
                       {"queued.max.messages.kbytes", "32768"}}));
  std::unique_ptr<KafkaConsumer> consumer(new KafkaConsumer(std::move(options), listener, metrics));
  rd_kafka_conf_set_opaque(conf.get(), consumer.get());
  rd_kafka_conf_set_rebalance_cb(conf.get(), on_rebalance);
  MR_TRY_ASSIGN(consumer->client_, make_kafka_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(consumer->client_.get());
  return consumer;
}

KafkaConsumer::KafkaConsumer(KafkaOptions options, Listener& listener, MetricsRegistry& metrics)
    : options_(std::move(options)),
      listener_(listener),
      rebalances_(metrics.counter("millrace_journal_rebalances_total",
                                  "Times that partitions were given or taken.")) {}

KafkaConsumer::~KafkaConsumer() {
  if (client_) close();
}

// rd_kafka_consumer_close() does the same without a limit of time: it was seen to wait for minutes
// for a coordinator that had restarted.
void KafkaConsumer::close() {
  const KafkaOwned<rd_kafka_queue_t> events(rd_kafka_queue_new(client_.get()));
  const KafkaOwned<rd_kafka_error_t> refused(
      rd_kafka_consumer_close_queue(client_.get(), events.get()));
  if (refused) {
    log(LogLevel::warn, "kafka: leaving the group failed",
        {{"reason", rd_kafka_error_string(refused.get())}});
    return;
  }
  const auto give_up_at = std::chrono::steady_clock::now() + leave_timeout;
  while (rd_kafka_consumer_closed(client_.get()) == 0) {
    if (std::chrono::steady_clock::now() > give_up_at) {
      log(LogLevel::warn, "kafka: no answer to leaving the group; the others wait for its session",
          {{"waited", format_duration(leave_timeout)}});
      return;
    }
    const KafkaOwned<rd_kafka_event_t> event(rd_kafka_queue_poll(events.get(), 50));
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
      on_rebalance(client_.get(), rd_kafka_event_error(event.get()),
                   rd_kafka_event_topic_partition_list(event.get()), this);
    }
  }
}

Result<std::vector<ConsumedEntry>> KafkaConsumer::poll(milliseconds timeout) {
  if (auto error = std::exchange(late_error_, std::nullopt)) {
    return tl::unexpected(*std::move(error));
  }
  if (!is_member_) MR_TRY(join());
  entries_.clear();
  entries_bytes_ = 0;
  int wait_ms = static_cast<int>(timeout.count());
  while (entries_bytes_ < options_.poll_size_bytes_max) {
    const KafkaOwned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), wait_ms));
    if (auto error = std::exchange(listener_error_, std::nullopt)) {
      leave();
      return tl::unexpected(*std::move(error));
    }
    if (!message) break;
    if (auto taken = take(*message); !taken) {
      if (entries_.empty()) return tl::unexpected(std::move(taken).error());
      // librdkafka will not hand these out again.
      late_error_ = std::move(taken).error();
      break;
    }
    wait_ms = 0;
  }
  return std::exchange(entries_, {});
}

Result<void> KafkaConsumer::take(const rd_kafka_message_t& message) {
  switch (message.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: break;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: return take_end(message);
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
      // Who joins again learns what has become of the topic, and what its positions are now.
      log(LogLevel::warn, "kafka: joining the group again",
          {{"reason", rd_kafka_message_errstr(&message)}});
      leave();
      return tl::unexpected(kafka_error("reading from Kafka", message.err));
    case RD_KAFKA_RESP_ERR__FATAL:
      // librdkafka does nothing more with this client.
      return fail(Errc::invalid_argument,
                  fmt::format("Kafka has shut this writer out of its group (is another one running "
                              "with the same journal.kafka.group_instance_id?): {}",
                              rd_kafka_message_errstr(&message)));
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      log(LogLevel::warn, "kafka: polled too late; the group has given the partitions to others",
          {{"reason", rd_kafka_message_errstr(&message)}});
      return {};
    default: return tl::unexpected(kafka_error("reading from Kafka", message.err));
  }
  const Partition partition(message.partition);
  const Offset offset(message.offset);
  const auto owned = owned_.find(partition);
  if (owned == owned_.end() || offset < owned->second) return {};
  if (offset > owned->second) {
    MR_TRY_ASSIGN(const bool is_real, is_gap_real(partition, owned->second, offset));
    if (!is_real) return {};
  }
  owned->second = offset.next();
  ConsumedEntry consumed{.partition = partition,
                         .offset = offset,
                         .entry = entry_of(message),
                         .appended_at = appended_at(message),
                         .corrupt_reason = std::nullopt};
  // An entry counts for its place in a queue even where it is empty.
  entries_bytes_ += std::max<std::size_t>(message.len, 64);
  entries_.push_back(std::move(consumed));
  return {};
}

// Behind the last entry there may be offsets that hold nothing; the table has to get over them too,
// else retention would seem to have taken entries that it lacks.
Result<void> KafkaConsumer::take_end(const rd_kafka_message_t& message) {
  const Partition partition(message.partition);
  const Offset end(message.offset);
  const auto owned = owned_.find(partition);
  if (owned == owned_.end() || end <= owned->second) return {};
  MR_TRY_ASSIGN(const bool is_real, is_gap_real(partition, owned->second, end));
  if (!is_real) return {};
  owned->second = end;
  entries_.push_back({.partition = partition,
                      .offset = Offset(end.value() - 1),
                      .entry = {},
                      .appended_at = std::nullopt,
                      .corrupt_reason = std::nullopt,
                      .is_empty = true});
  return {};
}

// Markers of transactions and what compaction took leave gaps. So did librdkafka, once: the answer
// to a question of a former assignment moved a partition on, over entries that nobody had read.
// Only a gap that is there when it is read a second time holds nothing.
Result<bool> KafkaConsumer::is_gap_real(Partition partition, Offset expected, Offset found) {
  const auto known = gaps_.find(partition);
  if (known != gaps_.end() && known->second == expected) {
    gaps_.erase(known);
    log(LogLevel::debug, "kafka: offsets without entries",
        {{"partition", partition.value()}, {"first", expected.value()}, {"next", found.value()}});
    return true;
  }
  if (auto moved = move_to(partition, expected); !moved) {
    // Whoever joins again starts where the table stands.
    leave();
    return tl::unexpected(std::move(moved).error());
  }
  gaps_[partition] = expected;
  return false;
}

Result<void> KafkaConsumer::join() {
  MR_TRY_ASSIGN(identity_, find_topic_identity(client_.get(), options_.topic, broker_timeout));
  const KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  if (const auto code = rd_kafka_subscribe(client_.get(), topics.get())) {
    return tl::unexpected(kafka_error("joining the Kafka group", code));
  }
  is_member_ = true;
  return {};
}

void KafkaConsumer::leave() {
  is_member_ = false;
  rd_kafka_unsubscribe(client_.get());
  entries_.clear();
}

void KafkaConsumer::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t event,
                                 rd_kafka_topic_partition_list_t* list, void* consumer) {
  static_cast<void>(client);
  auto* self = static_cast<KafkaConsumer*>(consumer);
  self->rebalances_.add();
  if (event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    self->assign(list);
  } else {
    self->unassign(list);
  }
}

void KafkaConsumer::assign(rd_kafka_topic_partition_list_t* list) {
  if (auto set = set_starts(list); !set) {
    listener_error_ = std::move(set).error();
    // librdkafka takes them away only once it has given them. What comes of them is not ours. An
    // offset by name would have it ask the brokers, whose answer could reach a later assignment.
    for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = 0;
  } else {
    for (int i = 0; i < list->cnt; ++i) {
      owned_.insert_or_assign(Partition(list->elems[i].partition), Offset(list->elems[i].offset));
    }
  }
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_incremental_assign(client_.get(), list));
  if (error) {
    listener_error_ = Error{Errc::unavailable, fmt::format("taking over Kafka partitions: {}",
                                                           rd_kafka_error_string(error.get()))};
  }
}

void KafkaConsumer::unassign(rd_kafka_topic_partition_list_t* list) {
  const std::vector<Partition> partitions = partitions_of(list);
  forget_entries_of(partitions);
  for (const Partition partition : partitions) {
    owned_.erase(partition);
    gaps_.erase(partition);
  }
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    listener_.on_lost(partitions);
  } else {
    listener_.on_revoked(partitions);
  }
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_incremental_unassign(client_.get(), list));
  if (error) {
    log(LogLevel::warn, "kafka: giving up partitions failed",
        {{"reason", rd_kafka_error_string(error.get())}});
  }
}

// An entry that was read before its partition was given up must not come after those of a later
// assignment.
void KafkaConsumer::forget_entries_of(const std::vector<Partition>& partitions) {
  std::erase_if(entries_, [&](const ConsumedEntry& entry) {
    return std::find(partitions.begin(), partitions.end(), entry.partition) != partitions.end();
  });
}

Result<void> KafkaConsumer::set_starts(rd_kafka_topic_partition_list_t* list) {
  const std::vector<Partition> partitions = partitions_of(list);
  if (partitions.empty()) return {};
  MR_TRY_ASSIGN(const auto positions, listener_.on_assigned(partitions));
  MR_ASSERT(positions.size() == partitions.size());
  for (int i = 0; i < list->cnt; ++i) {
    const auto index = static_cast<std::size_t>(i);
    MR_TRY_ASSIGN(const Offset start, checked_start(partitions[index], positions[index]));
    list->elems[i].offset = start.value();
  }
  return {};
}

Result<Offset> KafkaConsumer::checked_start(Partition partition, std::optional<Offset> position) {
  std::int64_t oldest = 0;
  std::int64_t end = 0;
  crash_point("journal.before_start_is_known");
  const auto code =
      rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition.value(),
                                       &oldest, &end, static_cast<int>(broker_timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return tl::unexpected(kafka_error(
        fmt::format("asking for the offsets of partition {}", partition.value()), code));
  }
  ends_.insert_or_assign(partition, Offset(end));
  if (!position) return Offset(oldest);
  const std::string place =
      fmt::format("partition {} of the Kafka topic \"{}\"", partition.value(), options_.topic);
  if (position->value() < oldest) {
    return fail(
        Errc::corrupt,
        fmt::format("the table covers {} up to position {}, but its oldest entry is {}: "
                    "Kafka has deleted entries that the table does not have. Give the topic "
                    "more retention; to go on without them, use another topic, or move the table "
                    "away",
                    place, position->value(), oldest));
  }
  if (position->value() > end) {
    return fail(
        Errc::corrupt,
        fmt::format("the table covers {} up to position {}, but it ends at {}: entries were "
                    "lost in Kafka, or the table belongs to another cluster. Restore them, "
                    "or use another topic",
                    place, position->value(), end));
  }
  return *position;
}

Result<void> KafkaConsumer::seek(Partition partition, Offset position) {
  MR_TRY_ASSIGN(const Offset start, checked_start(partition, position));
  forget_entries_of({partition});
  MR_TRY(move_to(partition, start));
  gaps_.erase(partition);
  if (const auto owned = owned_.find(partition); owned != owned_.end()) owned->second = start;
  return {};
}

Result<void> KafkaConsumer::move_to(Partition partition, Offset position) {
  const KafkaPartitions list = list_of(options_.topic, partition, position.value());
  const KafkaOwned<rd_kafka_error_t> error(rd_kafka_seek_partitions(
      client_.get(), list.get(), static_cast<int>(broker_timeout.count())));
  const auto code = error ? rd_kafka_error_code(error.get()) : list->elems[0].err;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return tl::unexpected(
      kafka_error(fmt::format("seeking in partition {}", partition.value()), code));
}

Result<void> KafkaConsumer::committed(Partition partition, Offset position) {
  const KafkaPartitions list = list_of(options_.topic, partition, position.value());
  const auto code = rd_kafka_commit(client_.get(), list.get(), 1);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return tl::unexpected(kafka_error("committing the group's offset", code));
}

std::string KafkaConsumer::progress_id(Partition partition) const {
  return fmt::format("kafka/{}/{}/{}/{}", identity_.cluster_id, options_.topic, identity_.topic_id,
                     partition.value());
}

bool KafkaConsumer::is_former_life(std::string_view id, Partition partition) const {
  return id.starts_with(fmt::format("kafka/{}/{}/", identity_.cluster_id, options_.topic)) &&
         id.ends_with(fmt::format("/{}", partition.value())) && id != progress_id(partition);
}

Result<Offset> KafkaConsumer::end_position(Partition partition) {
  std::int64_t oldest = 0;
  std::int64_t end = 0;
  // What the last fetch said; the brokers are asked only before there was one.
  auto code = rd_kafka_get_watermark_offsets(client_.get(), options_.topic.c_str(),
                                             partition.value(), &oldest, &end);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR || end < 0) {
    code =
        rd_kafka_query_watermark_offsets(client_.get(), options_.topic.c_str(), partition.value(),
                                         &oldest, &end, static_cast<int>(broker_timeout.count()));
  }
  // What librdkafka has kept may be of an earlier assignment.
  const auto known = ends_.find(partition);
  if (known != ends_.end()) end = std::max(end, known->second.value());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return Offset(end);
  return tl::unexpected(
      kafka_error(fmt::format("asking for the end of partition {}", partition.value()), code));
}

}  // namespace millrace::journal
