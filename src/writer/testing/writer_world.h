#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/metrics.h"
#include "base/testing/manual_clock.h"
#include "base/time_text.h"
#include "columnar/testing/read_rows.h"
#include "delta/delta_table.h"
#include "journal/testing/scripted_journal.h"
#include "record/batch.h"
#include "record/canonical.h"
#include "store/testing/memory_store.h"
#include "writer/writer.h"

namespace millrace::writer {

inline constexpr journal::Partition first_partition{0};
inline constexpr journal::Partition second_partition{1};

// A writer and the consumer that a test steers it by.
struct RunningWriter {
  std::unique_ptr<Writer> writer;
  journal::ScriptedConsumer* consumer = nullptr;  // Owned by the writer.
};

// A lake, a journal and a clock for tests, with the words they are written in.
class WriterWorld {
 public:
  store::MemoryStore memory;
  journal::ScriptedJournal journal;
  ManualClock clock{parse_rfc3339("2026-11-24T12:00:00Z").value()};
  MetricsRegistry registry;
  WriterOptions options;

  // One request with a record for each path and a reject for each payload; `key`: its batch_id.
  void append(const std::vector<std::string>& paths, const std::vector<std::string>& rejected = {},
              journal::Partition partition = first_partition, const std::string& key = {}) {
    record::Batch batch;
    batch.site = "example";
    if (!key.empty()) batch.batch_id = key;
    batch.received_at = clock.now();
    for (const std::string& path : paths) append_record(batch, "2026-11-24T10:00:00Z", path);
    for (const std::string& payload : rejected) {
      batch.rejects.push_back(
          {.index = 0, .field = "path", .reason = "refused", .payload = payload});
    }
    append_batch(batch, partition);
  }

  static void append_record(record::Batch& batch, std::string_view at, std::string_view path,
                            std::optional<std::string_view> user_agent = std::nullopt) {
    record::Record record;
    record.timestamp = parse_rfc3339(at).value();
    record.path = path;
    record.user_agent = user_agent;
    record::append_canonical(batch.records, record);
    ++batch.record_count;
  }

  void append_batch(const record::Batch& batch, journal::Partition partition = first_partition) {
    journal.append(partition,
                   {.key = {}, .value = batch.records, .headers = encode_headers(batch)});
  }

  // Starts a writer that owns `partitions`. Tries again where the store fails once.
  RunningWriter start(store::ObjectStore& store, std::size_t entries_max = 100,
                      std::vector<journal::Partition> partitions = {first_partition}) {
    RunningWriter running;
    const ConsumerFactory factory =
        [&](journal::Consumer::Listener& listener) -> Result<std::unique_ptr<journal::Consumer>> {
      auto consumer = std::make_unique<journal::ScriptedConsumer>(journal, listener, entries_max);
      consumer->assign(partitions);
      running.consumer = consumer.get();
      return consumer;
    };
    for (int attempt = 0; attempt < 5; ++attempt) {
      auto writer = Writer::open(options, store, factory, clock, registry);
      if (writer) {
        running.writer = *std::move(writer);
        return running;
      }
    }
    ADD_FAILURE() << "the writer does not open";
    std::abort();
  }

  RunningWriter start() { return start(memory); }

  // Lets the writer read everything, and time pass so that it flushes and retries.
  void run(RunningWriter& running, int rounds = 20) {
    for (int i = 0; i < rounds; ++i) {
      ASSERT_TRUE(running.writer->run_once({}));
      clock.advance(std::chrono::minutes(1));
    }
  }

  // What a reader that starts now finds.
  std::vector<columnar::Row> rows(const std::string& root) {
    std::vector<columnar::Row> all;
    const auto table = delta::DeltaTable::open(memory, clock, root);
    if (!table) return all;
    for (const auto& [path, file] : table->snapshot().files) {
      for (columnar::Row& row : columnar::read_rows(memory.get(root + "/" + path).value())) {
        row["date"] = file.partition_values.at("date").value();
        all.push_back(std::move(row));
      }
    }
    return all;
  }

  std::multiset<std::string> values(const std::string& root, const std::string& column) {
    std::multiset<std::string> found;
    for (const columnar::Row& row : rows(root)) {
      if (row.contains(column)) found.insert(row.at(column));
    }
    return found;
  }
  std::multiset<std::string> paths() { return values("access_logs", "path"); }
  std::multiset<std::string> dead_payloads() { return values("dead_letters", "payload"); }

  std::optional<std::int64_t> position(const std::string& root,
                                       journal::Partition partition = first_partition) {
    const auto table = delta::DeltaTable::open(memory, clock, root).value();
    const auto& progress = table.snapshot().progress;
    const auto it = progress.find("journal-" + std::to_string(partition.value()));
    return it == progress.end() ? std::nullopt : std::optional(it->second);
  }

  std::int64_t version(const std::string& root) {
    return delta::DeltaTable::open(memory, clock, root).value().snapshot().version.value();
  }
};

}  // namespace millrace::writer
