#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "journal/journal.h"
#include "journal/kafka_client.h"

namespace millrace::journal {

// A member of a consumer group (cooperative rebalancing). Where reading starts comes from the
// listener, never from the group's offsets: these are committed as a hint for lag.
//
// An error of the listener ends the membership; the next poll() joins again.
class KafkaConsumer final : public Consumer {
 public:
  // Contacts nobody yet. All must outlive it. Errors: invalid_argument.
  static Result<std::unique_ptr<KafkaConsumer>> open(KafkaOptions options, Listener& listener,
                                                     MetricsRegistry& metrics);

  // Leaves the group; the listener hears on_revoked(), and keeps its chance to flush.
  ~KafkaConsumer() override;

  // Also not_found: there is no such topic.
  Result<std::vector<ConsumedEntry>> poll(std::chrono::milliseconds timeout) override;
  Result<void> seek(Partition partition, Offset position) override;
  Result<void> committed(Partition partition, Offset position) override;
  std::string progress_id(Partition partition) const override;
  bool is_former_life(std::string_view progress_id, Partition partition) const override;
  Result<Offset> end_position(Partition partition) override;

 private:
  KafkaConsumer(KafkaOptions options, Listener& listener, MetricsRegistry& metrics);

  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t event,
                           rd_kafka_topic_partition_list_t* list, void* consumer);

  void close();
  Result<void> join();
  void leave();
  void assign(rd_kafka_topic_partition_list_t* list);
  void unassign(rd_kafka_topic_partition_list_t* list);
  Result<void> set_starts(rd_kafka_topic_partition_list_t* list);
  Result<Offset> checked_start(Partition partition, std::optional<Offset> position);
  Result<void> take(const rd_kafka_message_t& message);
  Result<void> take_end(const rd_kafka_message_t& message);
  Result<bool> is_gap_real(Partition partition, Offset expected, Offset found);
  Result<void> move_to(Partition partition, Offset position);
  void forget_entries_of(const std::vector<Partition>& partitions);

  const KafkaOptions options_;
  Listener& listener_;
  Counter& rebalances_;
  KafkaTopicIdentity identity_;
  bool is_member_ = false;
  std::map<Partition, Offset> owned_;    // Those whose start is known: the offset that comes next.
  std::map<Partition, Offset> ends_;     // What the brokers said at the assignment.
  std::map<Partition, Offset> gaps_;     // Where a gap starts that was read twice.
  std::optional<Error> listener_error_;  // From within a rebalance, for poll() to return.
  std::optional<Error> late_error_;      // Came behind entries; for the next poll().
  std::vector<ConsumedEntry> entries_;   // Of the poll() under way.
  std::size_t entries_bytes_ = 0;
  KafkaClient client_;
};

}  // namespace millrace::journal
