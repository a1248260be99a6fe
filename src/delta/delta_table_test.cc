#include "delta/delta_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "columnar/checkpoint_file.h"
#include "delta/schema_json.h"
#include "delta/testing/table_world.h"
#include "store/testing/faulty_store.h"
#include "store/testing/forwarding_store.h"

namespace millrace::delta {
namespace {

using store::MemoryStore;
using Paths = std::vector<std::string>;

class DeltaTableTest : public testing::Test {
 protected:
  DeltaTable opened(TableOptions options = {}) {
    auto table = DeltaTable::open_or_create(store_, clock_, "t", test_schema(), options);
    EXPECT_TRUE(table) << table.error().message;
    return *std::move(table);
  }

  // What a process that starts now would read.
  Paths live_paths() { return paths_of(opened()); }

  void clear() {
    const auto objects = store_.list("");
    for (const auto& object : *objects) ASSERT_TRUE(store_.remove(object.key));
  }

  MemoryStore store_;
  ManualClock clock_{Timestamp(std::chrono::hours(24 * 20'000))};
};

TEST_F(DeltaTableTest, DoesNotExistBeforeItIsCreated) {
  EXPECT_EQ(DeltaTable::open(store_, clock_, "t").error().code, Errc::not_found);
  EXPECT_EQ(opened().snapshot().version, Version(0));
  const auto table = DeltaTable::open(store_, clock_, "t");
  EXPECT_EQ(table->snapshot().schema, test_schema());
}

TEST_F(DeltaTableTest, TakesTheNextVersionWhenAnotherWriterWon) {
  DeltaTable mine = opened();
  DeltaTable theirs = opened();
  ASSERT_TRUE(theirs.commit(commit_of("p1", std::nullopt, 5, "theirs")));
  EXPECT_EQ(mine.commit(commit_of("p0", std::nullopt, 10, "mine")), Version(2));
  EXPECT_EQ(live_paths(), (Paths{"mine", "theirs"}));
}

TEST_F(DeltaTableTest, RefusesACommitThatDoesNotFollowOn) {
  struct Case {
    const char* name;
    std::optional<std::int64_t> start;
    bool is_accepted;
  };
  const Case cases[] = {{"follows on", 10, true},
                        {"overlaps", 9, false},
                        {"leaves a gap", 11, false},
                        {"starts again", std::nullopt, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    clear();
    DeltaTable table = opened();
    ASSERT_TRUE(table.commit(commit_of("p0", std::nullopt, 10, "a")));
    const auto version = table.commit(commit_of("p0", c.start, 20, "b"));
    EXPECT_EQ(version.has_value(), c.is_accepted);
    if (!version) {
      EXPECT_EQ(version.error().code, Errc::fenced);
    }
    EXPECT_EQ(live_paths().size(), c.is_accepted ? 2U : 1U);
  }
}

TEST_F(DeltaTableTest, RefusesToRemoveAFileTwice) {
  DeltaTable table = opened();
  ASSERT_TRUE(table.commit(commit_of("p0", std::nullopt, 1, "a")));
  DeltaTable other = opened();
  const Commit removal{.operation = "OPTIMIZE",
                       .adds = {file_of("b")},
                       .removes = {{"a", {}, 7, false}},
                       .progress = {}};
  ASSERT_TRUE(other.commit(removal));
  EXPECT_EQ(table.commit(removal).error().code, Errc::fenced);
  EXPECT_EQ(live_paths(), Paths{"b"});
}

TEST_F(DeltaTableTest, TellsWhatEachVersionChanged) {
  DeltaTable table = opened();
  ASSERT_TRUE(table.commit(commit_of("p0", std::nullopt, 1, "a")));
  ASSERT_TRUE(table.commit({"DELETE", {}, {{"a", {}, 7, true}}, {}}));
  const auto changes = table.changes_after(Version(0));
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_EQ(changes->at(0).adds.at(0).path, "a");
  EXPECT_EQ(changes->at(1).operation, "DELETE");
  EXPECT_EQ(changes->at(1).removes.at(0).path, "a");
  ASSERT_TRUE(store_.remove(fmt::format("t/_delta_log/{:020}.json", 1)));
  EXPECT_EQ(table.changes_after(Version(0)).error().code, Errc::not_found);
  EXPECT_EQ(table.changes_after(Version(1))->size(), 1U);
}

// As other engines do after delta.logRetentionDuration.
TEST_F(DeltaTableTest, DoesNotCommitIntoThePastOfALogThatWasCleanedUp) {
  DeltaTable idle = opened();
  ASSERT_TRUE(idle.commit(commit_of("p0", std::nullopt, 1, "mine")));
  {
    DeltaTable other = opened({.checkpoint_interval_versions = 5});
    for (int i = 2; i <= 5; ++i) {
      ASSERT_TRUE(
          other.commit(commit_of(fmt::format("p{}", i), std::nullopt, 1, fmt::format("{}", i))));
    }
  }
  for (int version = 0; version < 5; ++version) {
    ASSERT_TRUE(store_.remove(fmt::format("t/_delta_log/{:020}.json", version)));
  }
  EXPECT_EQ(idle.commit(commit_of("p0", 1, 2, "later")), Version(6));
  EXPECT_EQ(live_paths(), (Paths{"2", "3", "4", "5", "later", "mine"}));
}

// A hint that is missing, stale, or cannot be read just now must not make the past look like the
// end.
TEST_F(DeltaTableTest, DoesNotCommitIntoThePastWhateverTheHintSays) {
  for (const char* hint : {"", "stale"}) {
    SCOPED_TRACE(hint);
    clear();
    DeltaTable left_behind = opened();
    DeltaTable others = opened({.checkpoint_interval_versions = 5});
    for (int i = 0; i < 11; ++i) {
      ASSERT_TRUE(others.commit(commit_of("p1", i == 0 ? std::nullopt : std::optional(i), i + 1,
                                          fmt::format("theirs {}", i))));
    }
    clock_.advance(std::chrono::hours(24 * 365));
    ASSERT_GT(others.clean_up_log(clock_.now(), Version(100), false)->count, 5U);
    ASSERT_TRUE(store_.remove("t/_delta_log/_last_checkpoint"));
    if (*hint != '\0') {
      ASSERT_TRUE(store_.put("t/_delta_log/_last_checkpoint", "{\"version\":0}"));
    }
    EXPECT_EQ(left_behind.commit(commit_of("p0", std::nullopt, 10, "mine")), Version(12));
    EXPECT_EQ(live_paths().size(), 12U);
  }
}

// It stood still between its look at the log and its write.
TEST_F(DeltaTableTest, TakesBackACommitIntoThePast) {
  class Sleepy final : public store::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Result<void> put_if_absent(std::string_view key, std::string_view bytes) override {
      if (before_put) std::exchange(before_put, {})();
      return ForwardingStore::put_if_absent(key, bytes);
    }
    std::function<void()> before_put;
  };
  opened();
  Sleepy store(store_);
  DeltaTable sleepy = *DeltaTable::open(store, clock_, "t");
  store.before_put = [this] {
    DeltaTable others = opened({.checkpoint_interval_versions = 5});
    for (int i = 0; i < 11; ++i) {
      ASSERT_TRUE(others.commit(commit_of("p1", i == 0 ? std::nullopt : std::optional(i), i + 1,
                                          fmt::format("theirs {}", i))));
    }
    clock_.advance(std::chrono::hours(24 * 365));
    ASSERT_TRUE(others.clean_up_log(clock_.now(), Version(100), false));
  };
  EXPECT_EQ(sleepy.commit(commit_of("p0", std::nullopt, 10, "mine")), Version(12));
  EXPECT_EQ(live_paths().size(), 12U);
  EXPECT_FALSE(store_.get("t/_delta_log/00000000000000000001.json"));
}

TEST_F(DeltaTableTest, ReportsAHoleInItsLog) {
  DeltaTable table = opened();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        table.commit(commit_of("p" + std::to_string(i), std::nullopt, 1, std::to_string(i))));
  }
  ASSERT_TRUE(store_.remove(fmt::format("t/_delta_log/{:020}.json", 2)));
  EXPECT_EQ(DeltaTable::open(store_, clock_, "t").error().code, Errc::corrupt);
}

TEST_F(DeltaTableTest, RefusesATableOfOtherColumns) {
  opened();
  auto other = test_schema();
  other.columns[1].type = columnar::ColumnType::int64;
  EXPECT_EQ(DeltaTable::open_or_create(store_, clock_, "t", other).error().code,
            Errc::invalid_argument);
}

columnar::TableSchema schema_with(const std::vector<std::string>& further) {
  columnar::TableSchema schema = test_schema();
  for (const std::string& name : further) {
    schema.columns.insert(schema.columns.end() - 1, {name, columnar::ColumnType::string});
  }
  return schema;
}

TEST_F(DeltaTableTest, GetsTheColumnsThatANewerWriterBrings) {
  DeltaTable older = opened();
  ASSERT_TRUE(older.commit(commit_of("p0", std::nullopt, 10, "old")));
  const auto newer = DeltaTable::open_or_create(store_, clock_, "t", schema_with({"x", "y"}),
                                                {.adds_columns = true});
  ASSERT_TRUE(newer) << newer.error().message;
  const auto& columns = newer->snapshot().schema.columns;
  ASSERT_EQ(columns.size(), test_schema().columns.size() + 2);
  EXPECT_EQ(columns.back().name, "y");
  EXPECT_EQ(newer->snapshot().table_id, older.snapshot().table_id);
  EXPECT_EQ(newer->snapshot().progress, (std::map<std::string, std::int64_t>{{"p0", 10}}));
  EXPECT_EQ(live_paths(), (Paths{"old"}));

  // Once; and an older writer goes on.
  const auto again =
      DeltaTable::open_or_create(store_, clock_, "t", schema_with({"x"}), {.adds_columns = true});
  EXPECT_EQ(again->snapshot().version, newer->snapshot().version);
  EXPECT_TRUE(older.commit(commit_of("p0", 10, 20, "older")));
}

TEST_F(DeltaTableTest, KeepsWhatOthersSayOfATableThatGetsColumns) {
  opened();
  const std::string created = *store_.get("t/_delta_log/00000000000000000000.json");
  ASSERT_TRUE(store_.remove("t/_delta_log/00000000000000000000.json"));
  std::string described = created;
  const auto comment = created.find(R"(\"metadata\":{})");
  ASSERT_NE(comment, std::string::npos);
  described.replace(comment, 15, R"(\"metadata\":{\"comment\":\"theirs\"})");
  const auto id = described.find(R"("id":)");
  described.insert(id, R"("name":"logs",)");
  ASSERT_TRUE(store_.put_if_absent("t/_delta_log/00000000000000000000.json", described));
  ASSERT_TRUE(
      DeltaTable::open_or_create(store_, clock_, "t", schema_with({"x"}), {.adds_columns = true}));
  const std::string added = *store_.get("t/_delta_log/00000000000000000001.json");
  EXPECT_NE(added.find(R"(\"comment\":\"theirs\")"), std::string::npos) << added;
  EXPECT_NE(added.find(R"("name":"logs")"), std::string::npos) << added;
}

TEST_F(DeltaTableTest, GetsColumnsWhereTheAnswerIsLost) {
  opened();
  // Reading the log, and then the commit, of which the store says nothing though it has it.
  for (int operation = 0; operation < 20; ++operation) {
    store::FaultyStore store(store_, operation, store::Fault::after_effect);
    static_cast<void>(DeltaTable::open_or_create(
        store, clock_, "t", schema_with({fmt::format("x{}", operation)}), {.adds_columns = true}));
    const std::string name = fmt::format("x{}", operation);
    const auto again = DeltaTable::open_or_create(store_, clock_, "t", schema_with({name}),
                                                  {.adds_columns = true});
    ASSERT_TRUE(again) << again.error().message;
    const auto& columns = again->snapshot().schema.columns;
    EXPECT_EQ(std::count_if(columns.begin(), columns.end(),
                            [&](const auto& column) { return column.name == name; }),
              1);
  }
}

TEST_F(DeltaTableTest, GetsColumnsOnceFromWritersThatStartTogether) {
  opened();
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([this] {
      EXPECT_TRUE(DeltaTable::open_or_create(store_, clock_, "t", schema_with({"x"}),
                                             {.adds_columns = true}));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const auto table = DeltaTable::open(store_, clock_, "t");
  EXPECT_EQ(table->snapshot().version, Version(1));
  EXPECT_EQ(table->snapshot().schema.columns.size(), test_schema().columns.size() + 1);
}

TEST_F(DeltaTableTest, GetsNoColumnThatMayNotBeNullOrIsAnotherThere) {
  opened();
  for (const bool is_required : {true, false}) {
    columnar::TableSchema schema = test_schema();
    if (is_required) {
      schema.columns.push_back({"x", columnar::ColumnType::string, true});
    } else {
      schema.columns.front().type = columnar::ColumnType::string_map;
    }
    const auto table =
        DeltaTable::open_or_create(store_, clock_, "t", schema, {.adds_columns = true});
    EXPECT_EQ(table.error().code, Errc::invalid_argument);
    EXPECT_EQ(opened().snapshot().version, Version(0));
  }
}

TEST_F(DeltaTableTest, LosesNothingBetweenManyWriters) {
  constexpr int writers = 4;
  constexpr int commits_each = 25;
  opened();
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < writers; ++w) {
      threads.emplace_back([this, w] {
        DeltaTable table = opened({.commit_attempts_max = 1000});
        std::optional<std::int64_t> start;
        for (int i = 0; i < commits_each; ++i) {
          ASSERT_TRUE(
              table.commit(commit_of(fmt::format("p{}", w), start, i, fmt::format("{}-{}", w, i))));
          start = i;
        }
      });
    }
  }
  const DeltaTable table = opened();
  EXPECT_EQ(table.snapshot().version, Version(writers * commits_each));
  EXPECT_EQ(table.snapshot().files.size(), static_cast<std::size_t>(writers * commits_each));
}

// Whatever is damaged beside the log's entries, a reader sees the same table.
TEST_F(DeltaTableTest, CheckpointsCostTimeNotCorrectness) {
  DeltaTable table = opened({.checkpoint_interval_versions = 3});
  Paths want;
  for (int i = 0; i < 10; ++i) {
    const std::string path = fmt::format("date=2026-01-02/file {}", i);
    Commit commit =
        commit_of("p0", i == 0 ? std::nullopt : std::optional<std::int64_t>(i - 1), i, path);
    if (i % 4 == 3) {
      commit.removes = {{want.front(), {{"date", "2026-01-02"}}, 7, true}};
      want.erase(want.begin());
    }
    want.push_back(path);
    ASSERT_TRUE(table.commit(commit));
    const DeltaTable reopened = opened();
    ASSERT_EQ(paths_of(reopened), want);
    ASSERT_EQ(reopened.snapshot().progress, table.snapshot().progress);
    ASSERT_EQ(reopened.snapshot().schema, test_schema());
    ASSERT_EQ(reopened.snapshot().files.at(path).stats_json, R"({"numRecords":1})");
    ASSERT_EQ(reopened.snapshot().files.at(path).partition_values.at("date"), "2026-01-02");
  }
  const std::string hint = "t/_delta_log/_last_checkpoint";
  const auto checkpoint = [](int version) {
    return fmt::format("t/_delta_log/{:020}.checkpoint.parquet", version);
  };
  ASSERT_TRUE(store_.head(checkpoint(9)));
  ASSERT_TRUE(store_.put(hint, "{\"version\":6}"));
  EXPECT_EQ(live_paths(), want) << "stale hint";
  ASSERT_TRUE(store_.put(hint, "nonsense"));
  EXPECT_EQ(live_paths(), want) << "corrupt hint";
  ASSERT_TRUE(store_.put(hint, "{\"version\":77}"));
  EXPECT_EQ(live_paths(), want) << "hint from the future";
  ASSERT_TRUE(store_.put(hint, "{\"version\":9}"));
  ASSERT_TRUE(store_.put(checkpoint(9), "garbage"));
  EXPECT_EQ(live_paths(), want) << "corrupt checkpoint";
  ASSERT_TRUE(store_.remove(checkpoint(9)));
  EXPECT_EQ(live_paths(), want) << "missing checkpoint";
  for (int version = 0; version < 6; ++version) {
    ASSERT_TRUE(store_.remove(fmt::format("t/_delta_log/{:020}.json", version)));
  }
  EXPECT_EQ(live_paths(), want) << "log cleaned up below a checkpoint";
}

// Several writers of a few sources, each with a view that may be old, against a model of positions.
// As Spark writes those of large tables.
TEST_F(DeltaTableTest, ReadsCheckpointsOfSeveralParts) {
  DeltaTable table = opened({.checkpoint_interval_versions = 1'000});
  for (const char* path : {"a", "b", "c"}) {
    ASSERT_TRUE(table.commit(
        {.operation = "WRITE", .adds = {file_of(path)}, .removes = {}, .progress = {}}));
  }
  const columnar::CheckpointHeader header{
      .table_id = table.snapshot().table_id,
      .schema_json = encode_schema(table.snapshot().schema.columns),
      .partition_columns = table.snapshot().schema.partition_columns,
      .transactions = {{"p0", 7}}};
  const auto write_part = [&](const char* name, const Paths& paths) {
    const auto object = *store_.create(std::string("t/_delta_log/") + name);
    auto writer = *columnar::CheckpointWriter::create(header, *object);
    for (const auto& path : paths) ASSERT_TRUE(writer.add({.path = path, .size_bytes = 1}));
    ASSERT_TRUE(writer.finish());
  };
  write_part("00000000000000000003.checkpoint.0000000001.0000000002.parquet", {"a"});
  for (int version = 0; version < 3; ++version) {
    ASSERT_TRUE(store_.remove(fmt::format("t/_delta_log/{:020}.json", version)));
  }
  EXPECT_FALSE(DeltaTable::open(store_, clock_, "t")) << "a part is missing";
  write_part("00000000000000000003.checkpoint.0000000002.0000000002.parquet", {"b", "c"});
  EXPECT_EQ(live_paths(), (Paths{"a", "b", "c"}));
  EXPECT_EQ(opened().snapshot().progress.at("p0"), 7);
}

TEST_F(DeltaTableTest, WritesCheckpointsOfLargeTablesMoreSeldom) {
  DeltaTable table = opened({.checkpoint_interval_versions = 1});
  Commit many{.operation = "WRITE"};
  for (int i = 0; i < 2'500; ++i) many.adds.push_back(file_of(fmt::format("{:04}", i)));
  ASSERT_TRUE(table.commit(many));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(table.commit(commit_of("p0", i == 0 ? std::nullopt : std::optional(i), i + 1,
                                       fmt::format("later {}", i))));
  }
  std::vector<std::string> checkpoints;
  const auto objects = store_.list("t/_delta_log/");
  for (const auto& object : *objects) {
    if (object.key.find(".checkpoint.") != std::string::npos) {
      checkpoints.push_back(object.key.substr(std::string_view("t/_delta_log/").size(), 20));
    }
  }
  std::vector<std::string> even;
  for (int version = 2; version <= 21; version += 2) even.push_back(fmt::format("{:020}", version));
  EXPECT_EQ(checkpoints, even);
  EXPECT_EQ(live_paths().size(), 2'520U);
}

TEST_F(DeltaTableTest, AgreesWithAModel) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    clear();
    std::vector<DeltaTable> tables;
    for (int i = 0; i < 3; ++i) tables.push_back(opened({.checkpoint_interval_versions = 5}));
    std::map<std::string, std::int64_t> model;
    Paths model_paths;
    for (int step = 0; step < 60; ++step) {
      DeltaTable& table = tables[random() % tables.size()];
      const std::string source = fmt::format("p{}", random() % 2);
      const auto known = model.find(source);
      std::optional<std::int64_t> start;
      if (known != model.end()) start = known->second;
      const bool is_wrong = random() % 3 == 0;
      if (is_wrong) start = start.value_or(0) + 1;
      const std::string path = fmt::format("{:03}", step);
      const auto version = table.commit(commit_of(source, start, step, path));
      ASSERT_EQ(version.has_value(), !is_wrong);
      if (is_wrong) continue;
      model[source] = step;
      model_paths.push_back(path);
    }
    EXPECT_EQ(opened().snapshot().progress, model);
    EXPECT_EQ(live_paths(), model_paths);
  }
}

}  // namespace
}  // namespace millrace::delta
