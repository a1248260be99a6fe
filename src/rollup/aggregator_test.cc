#include "rollup/aggregator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "base/testing/manual_clock.h"
#include "base/testing/temp_directory.h"
#include "base/time_text.h"
#include "store/local_store.h"

namespace millrace::rollup {
namespace {

using Rows = std::vector<sql::ResultRow>;

columnar::TableSchema source_schema() {
  using columnar::ColumnType;
  return {.columns = {{"timestamp", ColumnType::timestamp, true},
                      {"site", ColumnType::string, true},
                      {"path", ColumnType::string, true},
                      {"user_agent", ColumnType::string, false},
                      {"status", ColumnType::int32, false},
                      {"bytes", ColumnType::int64, false},
                      {"date", ColumnType::date, false}},
          .partition_columns = {"date"}};
}

// Source files made by SQL and committed as a writer would, and what an aggregator makes of them.
class AggregatorTest : public testing::Test {
 protected:
  // Commits one file of records such as "('2026-01-02 03:04', 'site', '/path', NULL, 200, 5)".
  std::string add(const std::string& date, const std::string& values) {
    const std::string path = fmt::format("date={}/{}.parquet", date, files_++);
    const std::string local = temporary_.path_of("lake/access_logs/" + path);
    std::filesystem::create_directories(std::filesystem::path(local).parent_path());
    EXPECT_TRUE(engine_->execute(fmt::format(
        "COPY (SELECT t::TIMESTAMPTZ AS timestamp, site, path, ua::VARCHAR AS user_agent, "
        "status::INTEGER AS status, bytes::BIGINT AS bytes FROM (VALUES {}) "
        "v(t, site, path, ua, status, bytes)) TO {} (FORMAT parquet)",
        values, sql::quote_text(local))));
    commit("WRITE", {{.path = path, .partition_values = {{"date", date}}}}, {});
    return path;
  }

  void remove(const std::string& operation, const std::string& path, const std::string& date) {
    commit(operation, {}, {{path, {{"date", date}}, 0, true}});
  }

  void commit(const std::string& operation, std::vector<delta::AddFile> adds,
              std::vector<delta::RemoveFile> removes) {
    auto table = *delta::DeltaTable::open_or_create(*lake_, clock_, "access_logs", source_schema());
    ASSERT_TRUE(table.commit({operation, std::move(adds), std::move(removes), {}}));
  }

  // A fresh one each time, as after a restart.
  Aggregator aggregator() {
    return {
        {.scratch_directory = temporary_.path()}, *lake_, *analytics_, *engine_, clock_, metrics_};
  }

  AggregateSummary run() {
    auto summary = aggregator().run_once();
    EXPECT_TRUE(summary) << summary.error().message;
    return *summary;
  }

  // `sql` has {} for the live files of the table.
  Rows rows_of(const std::string& name, const std::string& sql) {
    const auto table = *delta::DeltaTable::open(*lake_, clock_, name);
    std::vector<std::string> paths;
    for (const auto& [path, file] : table.snapshot().files) {
      paths.push_back(temporary_.path_of("lake/" + name + "/" + path));
    }
    if (paths.empty()) return {};
    const std::string from =
        fmt::format("read_parquet({}, hive_partitioning = false)", sql::quote_list(paths));
    const auto rows = engine_->rows(fmt::format(fmt::runtime(sql), from));
    EXPECT_TRUE(rows) << rows.error().message;
    return *rows;
  }

  Rows rollup_rows(const std::string& name) {
    return rows_of(name, "SELECT * FROM {} ORDER BY ALL");
  }

  void expect_rollups_equal_group_by() {
    for (const RollupDefinition& definition : built_in_rollups()) {
      SCOPED_TRACE(definition.name);
      EXPECT_EQ(rollup_rows(definition.name),
                rows_of("access_logs",
                        fmt::format("SELECT date_trunc('hour', timestamp) AS hour, site, {}, "
                                    "count(*), count(*) FILTER (status >= 500), "
                                    "coalesce(sum(bytes), 0)::BIGINT FROM {{}} GROUP BY ALL "
                                    "ORDER BY ALL",
                                    definition.dimension)));
    }
  }

  TempDirectory temporary_;
  ManualClock clock_{*parse_rfc3339("2026-02-01T00:00:00Z")};
  MetricsRegistry metrics_;
  std::unique_ptr<sql::Engine> engine_ = *sql::Engine::open({});
  std::unique_ptr<store::LocalStore> lake_ = *store::LocalStore::open(temporary_.path_of("lake"));
  std::unique_ptr<store::LocalStore> analytics_ =
      *store::LocalStore::open(temporary_.path_of("analytics"));
  int files_ = 0;
};

TEST_F(AggregatorTest, HasNothingToDoWithoutASource) { EXPECT_EQ(run().files_folded, 0U); }

TEST_F(AggregatorTest, FoldsInJustWhatIsNew) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), "
      "('2026-01-02 04:00', 's', '/a', 'x', 503, 1)");
  EXPECT_EQ(run().files_folded, 3U) << "one file for each of three rollups";
  EXPECT_EQ(run().files_folded, 0U);
  add("2026-01-02",
      "('2026-01-02 03:59', 's', '/a', NULL, NULL, NULL), "
      "('2026-01-02 03:00', 't', '/b', 'x', 404, 2)");
  EXPECT_EQ(run().files_folded, 3U);
  expect_rollups_equal_group_by();
  const auto table = *delta::DeltaTable::open(*lake_, clock_, "rollup_by_path");
  EXPECT_EQ(table.snapshot().files.size(), 2U) << "one file for each hour";
}

TEST_F(AggregatorTest, PassesOverFilesThatOnlyMoveRecords) {
  const std::string path = add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  commit(
      "OPTIMIZE",
      {{.path = path + ".new", .partition_values = {{"date", "2026-01-02"}}, .data_change = false}},
      {{path, {{"date", "2026-01-02"}}, 0, false}});
  EXPECT_EQ(run().files_folded, 0U);
}

TEST_F(AggregatorTest, SumsADayAnewWhenRecordsAreTakenOutOfIt) {
  const std::string wrong = add("2026-01-02",
                                "('2026-01-02 03:04', 's', '/no', NULL, 200, 5), "
                                "('2026-01-02 09:00', 's', '/no', NULL, 200, 5)");
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  add("2026-01-03", "('2026-01-03 03:05', 's', '/a', NULL, 200, 5)");
  run();
  ASSERT_TRUE(analytics_->head("2026-01-02/summary_09.json"));
  remove("DELETE", wrong, "2026-01-02");
  run();
  expect_rollups_equal_group_by();
  EXPECT_FALSE(analytics_->head("2026-01-02/summary_09.json")) << "nothing is left of that hour";
}

TEST_F(AggregatorTest, KeepsTheSumsOfRecordsThatOnlyGotOld) {
  const std::string old = add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  const auto before = rollup_rows("rollup_by_path");
  remove("RETENTION", old, "2026-01-02");
  run();
  EXPECT_EQ(rollup_rows("rollup_by_path"), before);
  ASSERT_TRUE(aggregator().rebuild(""));
  EXPECT_EQ(rollup_rows("rollup_by_path"), before) << "also when it is rebuilt";
}

TEST_F(AggregatorTest, RebuildsToTheSameRows) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', 'x', 200, 5)");
  run();
  const auto before = rollup_rows("rollup_by_user_agent");
  ASSERT_TRUE(aggregator().rebuild("rollup_by_user_agent"));
  EXPECT_EQ(rollup_rows("rollup_by_user_agent"), before);
  EXPECT_EQ(run().files_folded, 0U);
  EXPECT_EQ(aggregator().rebuild("nonsense").error().code, Errc::not_found);
}

TEST_F(AggregatorTest, WritesASummaryOfEachTouchedHour) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), "
      "('2026-01-02 03:05', 't', '/a', 'x', 500, 1)");
  EXPECT_EQ(run().summaries_written, 1U);
  const auto summary = nlohmann::json::parse(*analytics_->get("2026-01-02/summary_03.json"));
  EXPECT_EQ(summary["hour"], "2026-01-02T03:00:00Z");
  EXPECT_EQ(summary["requests"], 2);
  EXPECT_EQ(summary["errors"], 1);
  EXPECT_EQ(summary["requestsPerPath"], nlohmann::json({{"/a", 2}}));
  EXPECT_EQ(summary["requestsPerUserAgent"], nlohmann::json({{"(none)", 1}, {"x", 1}}));
  EXPECT_EQ(summary["otherPaths"], 0);
}

TEST_F(AggregatorTest, LeavesTheSummariesOfOtherHoursOfTheDayAlone) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), "
      "('2026-01-02 04:04', 's', '/a', NULL, 200, 5)");
  EXPECT_EQ(run().summaries_written, 2U);
  add("2026-01-02", "('2026-01-02 03:09', 's', '/b', NULL, 200, 5)");
  EXPECT_EQ(run().summaries_written, 1U);
}

TEST_F(AggregatorTest, DerivesSummariesOfATableThatWasMadeAnew) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  ASSERT_TRUE(analytics_->put(
      "_state.json", R"({"rollup_by_path":99,"rollup_by_user_agent":99,"rollup_by_status":99})"));
  EXPECT_EQ(run().summaries_written, 1U);
}

TEST_F(AggregatorTest, DerivesSummariesThatACrashLeftBehind) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  ASSERT_TRUE(analytics_->remove("2026-01-02/summary_03.json"));
  ASSERT_TRUE(analytics_->put("_state.json", R"({"rollup_by_path":0})"));
  EXPECT_EQ(run().summaries_written, 1U);
  ASSERT_TRUE(analytics_->put("_state.json", "damaged"));
  EXPECT_EQ(run().summaries_written, 1U);
  EXPECT_EQ(run().summaries_written, 0U);
}

TEST_F(AggregatorTest, TwoAggregatorsCountEachRecordOnce) {
  Aggregator first = aggregator();
  Aggregator second = aggregator();
  for (int i = 0; i < 4; ++i) {
    add("2026-01-02", fmt::format("('2026-01-02 0{}:04', 's', '/a', NULL, 200, 5)", i));
    ASSERT_TRUE(first.run_once());
    ASSERT_TRUE(second.run_once());
  }
  expect_rollups_equal_group_by();
}

TEST_F(AggregatorTest, AgreesWithGroupByAfterRandomCommits) {
  constexpr unsigned seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::map<std::string, std::string> live;  // Path to date.
  for (int step = 0; step < 12; ++step) {
    const std::string date = fmt::format("2026-01-0{}", 1 + random() % 3);
    if (random() % 4 == 0 && !live.empty()) {
      const auto victim = *live.begin();
      live.erase(live.begin());
      remove("DELETE", victim.first, victim.second);
    } else {
      std::string values;
      for (int i = 0; i < 5; ++i) {
        if (i > 0) values += ", ";
        values +=
            fmt::format("('{} {:02}:00', 's{}', '/{}', NULL, {}, {})", date, random() % 4,
                        random() % 2, random() % 3, random() % 2 == 0 ? 200 : 500, random() % 9);
      }
      live.emplace(add(date, values), date);
    }
    if (random() % 2 == 0) run();
  }
  run();
  expect_rollups_equal_group_by();
}

TEST_F(AggregatorTest, RebuildsADayThatLostRecordsAlsoBeforeThatWasFolded) {
  const std::string wrong = add("2026-01-02", "('2026-01-02 09:00', 's', '/no', NULL, 200, 5)");
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  run();
  remove("DELETE", wrong, "2026-01-02");
  ASSERT_TRUE(aggregator().rebuild(""));
  run();
  expect_rollups_equal_group_by();
}

TEST_F(AggregatorTest, KeepsAllHoursOfAFileThatAnotherEngineHasCompacted) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), ('2026-01-02 09:00', 's', '/b', NULL, 200, "
      "5)");
  run();
  auto table = *delta::DeltaTable::open(*lake_, clock_, "rollup_by_path");
  std::vector<std::string> paths;
  delta::Commit commit{.operation = "OPTIMIZE", .adds = {}, .removes = {}, .progress = {}};
  for (const auto& [path, file] : table.snapshot().files) {
    paths.push_back(temporary_.path_of("lake/rollup_by_path/" + path));
    commit.removes.push_back({path, file.partition_values, file.size_bytes, false});
  }
  const std::string path = "date=2026-01-02/compacted.parquet";
  ASSERT_TRUE(engine_->execute("COPY (SELECT * FROM read_parquet(" + sql::quote_list(paths) +
                               ", hive_partitioning = false)) TO " +
                               sql::quote_text(temporary_.path_of("lake/rollup_by_path/" + path)) +
                               " (FORMAT parquet)"));
  commit.adds.push_back(
      {.path = path,
       .partition_values = {{"date", "2026-01-02"}},
       .data_change = false,
       .stats_json =
           R"({"numRecords":2,"minValues":{"hour":"2026-01-02T03:00:00.000Z"},"maxValues":{"hour":"2026-01-02T09:00:00.000Z"}})"});
  ASSERT_TRUE(table.commit(commit));
  add("2026-01-02", "('2026-01-02 04:05', 's', '/a', NULL, 200, 5)");
  run();
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  run();
  expect_rollups_equal_group_by();
}

// Else a version that goes back to the older definition would go on from where that stood.
TEST_F(AggregatorTest, MakesTheProgressOfAnotherDefinitionVoid) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  const auto source = *delta::DeltaTable::open(*lake_, clock_, "access_logs");
  const std::string other =
      built_in_rollups()[0].progress_prefix(source.snapshot().table_id) + "other.1";
  auto table = *delta::DeltaTable::open(*lake_, clock_, "rollup_by_path");
  ASSERT_TRUE(table.commit(
      {.operation = "MERGE", .adds = {}, .removes = {}, .progress = {{other, std::nullopt, 0}}}));
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  run();
  ASSERT_TRUE(table.refresh());
  EXPECT_EQ(table.snapshot().progress.at(other), -1);
  expect_rollups_equal_group_by();
}

TEST_F(AggregatorTest, WritesAllSummariesOfATableThatWasMadeAnew) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  run();
  const auto before = *analytics_->get("2026-01-02/summary_03.json");
  for (const char* table : {"rollup_by_path", "rollup_by_user_agent", "rollup_by_status"}) {
    std::filesystem::remove_all(temporary_.path_of(std::string("lake/") + table));
  }
  ASSERT_TRUE(analytics_->put("2026-01-02/summary_03.json", "{}"));
  run();
  EXPECT_EQ(nlohmann::json::parse(*analytics_->get("2026-01-02/summary_03.json"))["requests"],
            nlohmann::json::parse(before)["requests"]);
}

TEST_F(AggregatorTest, TakesFilesThatLackAColumn) {
  const std::string path = "date=2026-01-02/short.parquet";
  const std::string local = temporary_.path_of("lake/access_logs/" + path);
  std::filesystem::create_directories(std::filesystem::path(local).parent_path());
  ASSERT_TRUE(
      engine_->execute("COPY (SELECT TIMESTAMPTZ '2026-01-02 03:04:00Z' AS timestamp, 's' AS site, "
                       "'/a' AS path) TO " +
                       sql::quote_text(local) + " (FORMAT parquet)"));
  commit("WRITE", {{.path = path, .partition_values = {{"date", "2026-01-02"}}}}, {});
  run();
  EXPECT_EQ(rows_of("rollup_by_status", "SELECT status, requests, bytes FROM {}"),
            (Rows{{std::nullopt, "1", "0"}}));
}

}  // namespace
}  // namespace millrace::rollup
