#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "journal/journal.h"

namespace millrace::journal {

class ScriptedConsumer;

// A journal in memory whose consumers a test can give and take partitions at will. The fault model
// is the test: entries are durable at once, unless it appends corrupt ones or forgets them. One
// thread.
class ScriptedJournal final : public Appender {
 public:
  using Entries = std::map<std::int64_t, ConsumedEntry>;  // By offset.

  Result<void> append(Entry entry, OnDurable on_durable) override {
    if (entry.value.size() > entry_size_bytes_max()) {
      return fail(Errc::invalid_argument, "the entry is too large");
    }
    const Offset offset = end(Partition(0));
    append(Partition(0), std::move(entry));
    on_durable(offset);
    return {};
  }
  std::size_t entry_size_bytes_max() const override { return 1 << 20; }
  std::optional<std::string> failure() const override { return std::nullopt; }

  void append(Partition partition, Entry entry) {
    const Offset offset = end(partition);
    partitions_[partition][offset.value()] = {partition, offset, std::move(entry), std::nullopt,
                                              std::nullopt};
  }

  void append_corrupt(Partition partition, std::string reason) {
    const Offset offset = end(partition);
    partitions_[partition][offset.value()] = {
        partition, offset, {}, std::nullopt, std::move(reason)};
  }

  Offset end(Partition partition) const {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end() || it->second.empty()) return Offset(0);
    return Offset(it->second.rbegin()->first + 1);
  }

  // What a replaced disk does.
  void forget_everything() { partitions_.clear(); }

  const Entries& entries(Partition partition) { return partitions_[partition]; }

  std::map<Partition, Offset> committed;

 private:
  std::map<Partition, Entries> partitions_;
};

// Gives up to `entries_max` entries a poll. What a test asks of it happens within the next poll().
class ScriptedConsumer final : public Consumer {
 public:
  ScriptedConsumer(ScriptedJournal& journal, Listener& listener, std::size_t entries_max = 100)
      : journal_(journal), listener_(listener), entries_max_(entries_max) {}

  using Partitions = std::vector<Partition>;

  void assign(Partitions partitions) {
    events_.push_back([this, partitions]() -> Result<void> {
      MR_TRY_ASSIGN(const auto starts, listener_.on_assigned(partitions));
      MR_ASSERT(starts.size() == partitions.size());
      for (std::size_t i = 0; i < starts.size(); ++i) {
        const Offset start = starts[i].value_or(Offset(0));
        MR_TRY(check_position(partitions[i], start));
        positions_[partitions[i]] = start.value();
      }
      return {};
    });
  }

  void revoke(Partitions partitions) {
    events_.push_back([this, partitions]() -> Result<void> {
      listener_.on_revoked(partitions);
      for (const auto partition : partitions) positions_.erase(partition);
      return {};
    });
  }

  void lose(Partitions partitions) {
    events_.push_back([this, partitions]() -> Result<void> {
      listener_.on_lost(partitions);
      for (const auto partition : partitions) positions_.erase(partition);
      return {};
    });
  }

  Result<std::vector<ConsumedEntry>> poll(std::chrono::milliseconds) override {
    while (!events_.empty()) {
      MR_TRY(events_.front()());
      events_.erase(events_.begin());
    }
    std::vector<ConsumedEntry> polled;
    for (auto& [partition, position] : positions_) {
      const auto& entries = journal_.entries(partition);
      for (auto it = entries.lower_bound(position);
           it != entries.end() && polled.size() < entries_max_; ++it) {
        polled.push_back(it->second);
        position = it->first + 1;
      }
    }
    return polled;
  }

  Result<void> seek(Partition partition, Offset position) override {
    MR_ASSERT(positions_.contains(partition));
    MR_TRY(check_position(partition, position));
    positions_[partition] = position.value();
    return {};
  }

  Result<void> committed(Partition partition, Offset position) override {
    journal_.committed[partition] = position;
    return {};
  }

  std::string progress_id(Partition partition) const override {
    return "journal-" + std::to_string(partition.value());
  }

  bool is_former_life(std::string_view progress_id, Partition partition) const override {
    return progress_id == "former-" + std::to_string(partition.value());
  }

  Result<Offset> end_position(Partition partition) override { return journal_.end(partition); }

 private:
  Result<void> check_position(Partition partition, Offset position) const {
    if (position <= journal_.end(partition)) return {};
    return fail(Errc::corrupt, "the table is ahead of the journal, which ends at " +
                                   std::to_string(journal_.end(partition).value()));
  }

  ScriptedJournal& journal_;
  Listener& listener_;
  const std::size_t entries_max_;
  std::vector<std::function<Result<void>()>> events_;
  std::map<Partition, std::int64_t> positions_;
};

}  // namespace millrace::journal
