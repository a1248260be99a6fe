#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "journal/journal.h"

namespace millrace::writer {

class ScriptedConsumer;

// A journal whose consumers a test can give and take partitions at will. One thread.
class ScriptedJournal {
 public:
  using Entries = std::map<std::int64_t, journal::ConsumedEntry>;  // By offset.

  void append(journal::Partition partition, journal::Entry entry) {
    const journal::Offset offset = end(partition);
    partitions_[partition][offset.value()] = {partition, offset, std::move(entry), std::nullopt};
  }

  void append_corrupt(journal::Partition partition, std::string reason) {
    const journal::Offset offset = end(partition);
    partitions_[partition][offset.value()] = {partition, offset, {}, std::move(reason)};
  }

  journal::Offset end(journal::Partition partition) const {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end() || it->second.empty()) return journal::Offset(0);
    return journal::Offset(it->second.rbegin()->first + 1);
  }

  // What a replaced disk does.
  void forget_everything() { partitions_.clear(); }

  const Entries& entries(journal::Partition partition) { return partitions_[partition]; }

  std::map<journal::Partition, journal::Offset> committed;

 private:
  std::map<journal::Partition, Entries> partitions_;
};

// Gives up to `entries_max` entries a poll. What a test asks of it happens within the next poll().
class ScriptedConsumer final : public journal::Consumer {
 public:
  ScriptedConsumer(ScriptedJournal& journal, Listener& listener, std::size_t entries_max = 100)
      : journal_(journal), listener_(listener), entries_max_(entries_max) {}

  using Partitions = std::vector<journal::Partition>;

  void assign(Partitions partitions) {
    events_.push_back([this, partitions]() -> Result<void> {
      MR_TRY_ASSIGN(const auto starts, listener_.on_assigned(partitions));
      MR_ASSERT(starts.size() == partitions.size());
      for (std::size_t i = 0; i < starts.size(); ++i) {
        positions_[partitions[i]] = starts[i].value_or(journal::Offset(0)).value();
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

  Result<std::vector<journal::ConsumedEntry>> poll(std::chrono::milliseconds) override {
    while (!events_.empty()) {
      MR_TRY(events_.front()());
      events_.erase(events_.begin());
    }
    std::vector<journal::ConsumedEntry> polled;
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

  Result<void> seek(journal::Partition partition, journal::Offset position) override {
    MR_ASSERT(positions_.contains(partition));
    positions_[partition] = position.value();
    return {};
  }

  Result<void> committed(journal::Partition partition, journal::Offset position) override {
    journal_.committed[partition] = position;
    return {};
  }

  std::string progress_id(journal::Partition partition) const override {
    return "journal-" + std::to_string(partition.value());
  }

  Result<journal::Offset> end_position(journal::Partition partition) override {
    return journal_.end(partition);
  }

 private:
  ScriptedJournal& journal_;
  Listener& listener_;
  const std::size_t entries_max_;
  std::vector<std::function<Result<void>()>> events_;
  std::map<journal::Partition, std::int64_t> positions_;
};

}  // namespace millrace::writer
