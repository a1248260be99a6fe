#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/headers.h"
#include "base/result.h"
#include "base/tagged.h"

namespace millrace::journal {

using Partition = Tagged<struct PartitionTag, std::int32_t>;

// Where an entry stands in its partition. A *position* is the offset after the last entry covered:
// what lies below it is covered, reading starts at it. Offsets grow, but may leave gaps.
using Offset = Tagged<struct OffsetTag, std::int64_t>;

// What the journal stores: opaque bytes with headers. `key` chooses the partition where there are
// several; empty: any will do.
struct Entry {
  std::string key;
  std::string value;
  Headers headers;
};

// An entry as it was read back.
struct ConsumedEntry {
  Partition partition;
  Offset offset;
  Entry entry;
  // When it was appended, where the journal says.
  std::optional<Timestamp> appended_at;
  // Set where the stored bytes did not check; the entry is then empty. Reading goes on behind it.
  std::optional<std::string> corrupt_reason;
  // Nothing was ever there, up to and including this offset: only the position goes on.
  bool is_empty = false;
};

// Takes entries and makes them durable. Thread-safe: any number of threads append.
class Appender {
 public:
  // The offset of the durable entry. Errors:
  //   exhausted    the disk is full; the entry is not in the journal.
  //   unavailable  writing or syncing failed; the entry may or may not be in the journal.
  using OnDurable = std::function<void(Result<Offset>)>;

  virtual ~Appender() = default;

  // Queues `entry` and returns; `on_durable` runs once, on a thread of the journal, when the entry
  // has reached stable storage or has failed. It must not block.
  // Errors (`on_durable` is then never called, nothing was taken):
  //   exhausted         the queue is full.
  //   invalid_argument  the entry is larger than entry_size_bytes_max(). The callback may say so
  //                     too, where the journal's own limit is lower.
  //   unavailable       the journal is failing or closed.
  virtual Result<void> append(Entry entry, OnDurable on_durable) = 0;

  virtual std::size_t entry_size_bytes_max() const = 0;

  // Why appends fail at present; empty while they succeed. For readiness.
  virtual std::optional<std::string> failure() const = 0;
};

// Hands out the entries of the partitions assigned to this process, in order within a partition.
// One thread; the listener is called on it, from within poll().
class Consumer {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;

    // Answers, for each partition and in the same order, the position to read from, taken from the
    // table: nullopt where the table has none, for the start of the journal. An error ends poll()
    // with it.
    virtual Result<std::vector<std::optional<Offset>>> on_assigned(
        const std::vector<Partition>& partitions) = 0;

    // The partitions are still ours during the call, and no longer after it: flush.
    virtual void on_revoked(const std::vector<Partition>& partitions) = 0;

    // The partitions are another's already: drop what was read from them.
    virtual void on_lost(const std::vector<Partition>& partitions) = 0;
  };

  virtual ~Consumer() = default;

  // Waits up to `timeout` for entries and returns some, bounded in bytes by the implementation's
  // options. Empty: none came. Errors:
  //   corrupt      a start position that the journal cannot serve: below what it still holds, or
  //                beyond its end. Both numbers and the way out are in the message. Stop.
  //   unavailable  try again.
  virtual Result<std::vector<ConsumedEntry>> poll(std::chrono::milliseconds timeout) = 0;

  // Makes the next poll() read `partition` from `position`.
  virtual Result<void> seek(Partition partition, Offset position) = 0;

  // Tells the journal that all tables cover what lies below `position`. A hint for retention and
  // for lag, never the truth: that is in the tables.
  virtual Result<void> committed(Partition partition, Offset position) = 0;

  // The name under which a table records its position of `partition`: it holds the identity of
  // the journal, so that another journal's offsets are never mistaken for this one's.
  virtual std::string progress_id(Partition partition) const = 0;

  // Whether another journal's progress_id() is of the same place before it was made anew, as when a
  // topic was deleted and created again: what the table does not have of it is gone.
  virtual bool is_former_life(std::string_view progress_id, Partition partition) const = 0;

  // The position at which the next entry of `partition` will be appended, for lag.
  virtual Result<Offset> end_position(Partition partition) = 0;
};

// Both ends of a durable log.
class Journal {
 public:
  virtual ~Journal() = default;

  virtual Appender& appender() = 0;

  // `listener` must outlive the consumer, and the consumer must go before the journal.
  // Errors: invalid_argument.
  virtual Result<std::unique_ptr<Consumer>> open_consumer(Consumer::Listener& listener) = 0;

  // Makes durable what is queued, answers it, and refuses later appends. Repeating is safe.
  virtual void close() = 0;
};

}  // namespace millrace::journal
