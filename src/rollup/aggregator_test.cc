#include "rollup/aggregator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "base/testing/manual_clock.h"
#include "base/testing/temp_directory.h"
#include "base/time_text.h"
#include "store/local_store.h"
#include "store/testing/faulty_store.h"

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

// Two such records are more than a BIGINT holds.
TEST_F(AggregatorTest, StopsSumsAtTheLargestNumber) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', 'x', 200, 6000000000000000000), "
      "('2026-01-02 03:05', 's', '/a', 'x', 200, 6000000000000000000)");
  add("2026-01-02", "('2026-01-02 03:06', 's', '/b', 'y', 201, 6000000000000000000)");
  run();
  EXPECT_EQ(rows_of("rollup_by_status", "SELECT status, bytes FROM {} ORDER BY status"),
            (Rows{{"200", "9223372036854775807"}, {"201", "6000000000000000000"}}));
  const auto summary = nlohmann::json::parse(*analytics_->get("2026-01-02/summary_03.json"));
  EXPECT_EQ(summary["bytes"], 9223372036854775807);
  EXPECT_EQ(summary["requests"], 3);
}

TEST_F(AggregatorTest, DoesNotMixTheSumsOfASourceThatWasMadeAnew) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/old', NULL, 200, 5)");
  add("2026-01-03", "('2026-01-03 03:04', 's', '/old', NULL, 200, 5)");
  run();
  std::filesystem::remove_all(temporary_.path_of("lake/access_logs"));
  add("2026-01-02", "('2026-01-02 03:04', 's', '/new', NULL, 200, 5)");
  const auto refused = aggregator().run_once();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--rebuild rollup_by_path"), std::string::npos);
  ASSERT_TRUE(aggregator().rebuild(""));
  expect_rollups_equal_group_by();
  add("2026-01-02", "('2026-01-02 03:04', 's', '/new', NULL, 200, 5)");
  run();
  expect_rollups_equal_group_by();
  EXPECT_FALSE(analytics_->head("2026-01-03/summary_03.json"));
}

TEST_F(AggregatorTest, FoldsTheOtherRollupsWhenOneIsDamaged) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  ASSERT_TRUE(lake_->put(fmt::format("rollup_by_path/_delta_log/{:020}.json", 1), "damaged"));
  add("2026-01-02", "('2026-01-02 03:05', 's', '/a', NULL, 200, 5)");
  const auto failed = aggregator().run_once();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::corrupt);
  EXPECT_NE(metrics_.exposition().find("millrace_aggregate_failures_total 1"), std::string::npos);
  EXPECT_EQ(rows_of("rollup_by_status", "SELECT requests FROM {}"), (Rows{{"2"}}));
  EXPECT_EQ(rows_of("rollup_by_user_agent", "SELECT requests FROM {}"), (Rows{{"2"}}));
}

TEST_F(AggregatorTest, KeepsASummaryThatIsNewer) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  const std::string key = "2026-01-02/summary_03.json";
  auto newer = nlohmann::json::parse(*analytics_->get(key));
  newer["rollupVersions"]["rollup_by_path"] = 9;
  ASSERT_TRUE(analytics_->put(key, newer.dump()));
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), ('2026-01-02 04:04', 's', '/a', NULL, 200, "
      "5)");
  EXPECT_EQ(run().summaries_written, 1U) << "that of the other hour";
  EXPECT_EQ(*analytics_->get(key), newer.dump());
}

// Every fold replaces the files of the hours it touches.
TEST_F(AggregatorTest, DeletesReplacedFilesWhenNoReaderNeedsThem) {
  const auto file_count = [&] { return lake_->list("rollup_by_path/date=2026-01-02/")->size(); };
  for (int i = 0; i < 30; ++i) {
    add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
    run();
    clock_.advance(std::chrono::minutes(10));
  }
  EXPECT_LE(file_count(), 8U) << "those of the last hour";
  EXPECT_GE(file_count(), 6U);
  expect_rollups_equal_group_by();
}

// Writers, deletion, retention and compaction of the source, runs, rebuilds, a second aggregator
// and a store that fails, in random order, against a model: the values of all records that nobody
// has deleted.
class AggregatorModelTest : public AggregatorTest, public testing::WithParamInterface<unsigned> {
 protected:
  struct SourceFile {
    std::string date;
    std::string values;
  };

  std::string random_values(const std::string& date) {
    std::string values;
    const auto rows = 1 + random_() % 5;
    for (unsigned i = 0; i < rows; ++i) {
      const bool is_huge = random_() % 10 == 0;
      values += fmt::format("{}('{} {:02}:00', 's{}', {}, {}, {}, {})", i > 0 ? ", " : "", date,
                            random_() % 4, random_() % 2, fmt::format("'/{}'", random_() % 3),
                            random_() % 2 == 0 ? "NULL" : "'ua'", random_() % 2 == 0 ? 200 : 500,
                            is_huge ? "6000000000000000000" : std::to_string(random_() % 9));
    }
    return values;
  }

  std::map<std::string, SourceFile>::iterator any_file() {
    return std::next(live_.begin(), static_cast<std::ptrdiff_t>(random_() % live_.size()));
  }

  // The record values that the rollups are sums of.
  void forget(const std::string& values) { expected_.erase(expected_.find(values)); }

  void step(std::vector<Aggregator>& aggregators) {
    const auto kind = live_.empty() ? 0 : random_() % 12;
    if (kind <= 3) {
      const std::string date = fmt::format("2026-01-{:02}", first_day_ + random_() % 3);
      const std::string values = random_values(date);
      live_[add(date, values)] = {date, values};
      expected_.insert(values);
    } else if (kind == 4) {
      // What it takes away before it was folded would never be counted.
      ASSERT_TRUE(aggregators[0].run_once());
      retire_first_day();
    } else if (kind == 5) {
      const auto victim = any_file();
      remove("DELETE", victim->first, victim->second.date);
      forget(victim->second.values);
      live_.erase(victim);
    } else if (kind == 6) {
      compact(any_file());
    } else if (kind == 7) {
      ASSERT_TRUE(aggregators[0].rebuild(""));
    } else if (kind == 8) {
      run_with_a_fault();
    } else {
      ASSERT_TRUE(aggregators[random_() % 2].run_once());
    }
  }

  // Its sums stay.
  void retire_first_day() {
    const std::string date = fmt::format("2026-01-{:02}", first_day_++);
    std::vector<delta::RemoveFile> removes;
    std::erase_if(live_, [&](const auto& file) {
      if (file.second.date != date) return false;
      removes.push_back({file.first, {{"date", date}}, 0, true});
      return true;
    });
    commit("RETENTION", {}, std::move(removes));
  }

  // The same records in a file of another name, as OPTIMIZE commits it.
  void compact(std::map<std::string, SourceFile>::iterator file) {
    const std::string path = file->first + ".compacted.parquet";
    std::filesystem::copy_file(temporary_.path_of("lake/access_logs/" + file->first),
                               temporary_.path_of("lake/access_logs/" + path));
    commit(
        "OPTIMIZE",
        {{.path = path, .partition_values = {{"date", file->second.date}}, .data_change = false}},
        {{file->first, {{"date", file->second.date}}, 0, false}});
    live_[path] = file->second;
    live_.erase(file);
  }

  void run_with_a_fault() {
    store::FaultyStore lake(
        *lake_, static_cast<int>(random_() % 60),
        random_() % 2 == 0 ? store::Fault::before_effect : store::Fault::after_effect);
    Aggregator faulty({.scratch_directory = temporary_.path()}, lake, *analytics_, *engine_, clock_,
                      metrics_);
    static_cast<void>(faulty.run_once());
  }

  void expect_rollups_equal_model() {
    std::string values;
    for (const std::string& file : expected_) values += (values.empty() ? "" : ", ") + file;
    for (const RollupDefinition& definition : built_in_rollups()) {
      SCOPED_TRACE(definition.name);
      const auto want = engine_->rows(fmt::format(
          "SELECT date_trunc('hour', t::TIMESTAMPTZ) AS hour, site, {}, count(*), "
          "count(*) FILTER (status >= 500), least(sum(bytes), 9223372036854775807)::BIGINT "
          "FROM (VALUES {}) v(t, site, path, user_agent, status, bytes) GROUP BY ALL ORDER BY ALL",
          definition.dimension, values));
      ASSERT_TRUE(want) << want.error().message;
      EXPECT_EQ(rollup_rows(definition.name), *want);
    }
  }

  std::mt19937 random_{GetParam()};
  std::map<std::string, SourceFile> live_;  // By path.
  std::multiset<std::string> expected_;
  unsigned first_day_ = 1;
};

TEST_P(AggregatorModelTest, AgreesWithGroupBy) {
  std::vector<Aggregator> aggregators;
  for (int i = 0; i < 2; ++i) aggregators.push_back(aggregator());
  for (int i = 0; i < 25; ++i) {
    step(aggregators);
    clock_.advance(std::chrono::minutes(random_() % 60));
    if (HasFatalFailure()) return;
  }
  if (expected_.empty()) return;
  ASSERT_TRUE(aggregators[1].run_once());
  expect_rollups_equal_model();
}

INSTANTIATE_TEST_SUITE_P(Seeds, AggregatorModelTest, testing::Range(0U, 12U));

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
  const std::string other = built_in_rollups()[0].progress_id(source.snapshot().table_id) + "other";
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
