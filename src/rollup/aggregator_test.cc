#include "rollup/aggregator.h"

#include <nlohmann/json.hpp>

#include "rollup/testing/aggregator_world.h"

namespace millrace::rollup {
namespace {

TEST_F(AggregatorTest, HasNothingToDoWithoutASource) { EXPECT_EQ(run().files_folded, 0U); }

TEST_F(AggregatorTest, FoldsInJustWhatIsNew) {
  add("2026-01-02",
      "('2026-01-02 03:04', 's', '/a', NULL, 200, 5), "
      "('2026-01-02 04:00', 's', '/a', 'x', 503, 1)");
  EXPECT_EQ(run().files_folded, 4U) << "one file for each of four rollups";
  EXPECT_EQ(run().files_folded, 0U);
  add("2026-01-02",
      "('2026-01-02 03:59', 's', '/a', NULL, NULL, NULL), "
      "('2026-01-02 03:00', 't', '/b', 'x', 404, 2)");
  EXPECT_EQ(run().files_folded, 4U);
  expect_rollups_equal_group_by();
  const auto table = *delta::DeltaTable::open(*lake_, clock_, "rollup_by_path");
  EXPECT_EQ(table.snapshot().files.size(), 2U) << "one file for each hour";
}

TEST_F(AggregatorTest, PutsTimesBefore1970IntoTheirHour) {
  add("1969-12-31",
      "('1969-12-31 23:00', 's', '/a', NULL, 200, 5), "
      "('1969-12-31 22:59:59.999999', 's', '/a', NULL, 200, 5), "
      "('0001-01-01 00:30', 's', '/a', NULL, 200, 5)");
  run();
  expect_rollups_equal_group_by();
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
      "('2026-01-02 03:05', 't', '/a', 'x bot', 500, 1)");
  EXPECT_EQ(run().summaries_written, 1U);
  const auto summary = nlohmann::json::parse(*analytics_->get("2026-01-02/summary_03.json"));
  EXPECT_EQ(summary["hour"], "2026-01-02T03:00:00Z");
  EXPECT_EQ(summary["requests"], 2);
  EXPECT_EQ(summary["errors"], 1);
  EXPECT_EQ(summary["requestsPerPath"], nlohmann::json({{"/a", 2}}));
  EXPECT_EQ(summary["requestsPerUserAgent"], nlohmann::json({{"(none)", 1}, {"x bot", 1}}));
  EXPECT_EQ(summary["requestsPerBot"], nlohmann::json({{"(none)", 1}, {"x bot", 1}}));
  EXPECT_EQ(summary["otherPaths"], 0);
}

TEST_F(AggregatorTest, ListsTenThousandNamesOfAnHourAndCountsTheRest) {
  std::string rows = "('2026-01-02 03:04', 's', '/most', NULL, 200, 5)";
  rows += ", " + rows;
  for (int i = 0; i < 10'002; ++i) {
    rows += fmt::format(", ('2026-01-02 03:05', 's', '/{:05}', NULL, 200, 5)", i);
  }
  add("2026-01-02", rows);
  run();
  const auto summary = nlohmann::json::parse(*analytics_->get("2026-01-02/summary_03.json"));
  EXPECT_EQ(summary["requests"], 10'004);
  EXPECT_EQ(summary["bytes"], 5 * 10'004);
  EXPECT_EQ(summary["requestsPerPath"].size(), 10'000U);
  EXPECT_EQ(summary["requestsPerPath"]["/most"], 2);
  EXPECT_EQ(summary["requestsPerPath"].count("/09998"), 1U);
  EXPECT_EQ(summary["requestsPerPath"].count("/09999"), 0U) << "of equals the last names are left";
  EXPECT_EQ(summary["otherPaths"], 3);
  EXPECT_EQ(summary["otherStatuses"], 0);
}

// While the writers are not yet of this version.
TEST_F(AggregatorTest, TakesColumnsThatTheSourceLacksForNull) {
  columnar::TableSchema older = source_schema();
  std::erase_if(older.columns, [](const auto& column) { return column.name.starts_with("bot"); });
  ASSERT_TRUE(delta::DeltaTable::open_or_create(*lake_, clock_, "access_logs", older));
  const std::string path = temporary_.path_of("lake/access_logs/older.parquet");
  ASSERT_TRUE(engine_->execute(fmt::format(
      "COPY (SELECT '2026-01-02 03:04'::TIMESTAMPTZ AS timestamp, 's' AS site, '/a' AS path, 'x' "
      "AS user_agent, 200::INTEGER AS status, 5::BIGINT AS bytes) TO {} (FORMAT parquet)",
      sql::quote_text(path))));
  auto table = *delta::DeltaTable::open(*lake_, clock_, "access_logs");
  ASSERT_TRUE(
      table.commit({"WRITE",
                    {{.path = "older.parquet", .partition_values = {{"date", "2026-01-02"}}}},
                    {},
                    {}}));
  const auto done =
      Aggregator({.source_schema = source_schema(), .scratch_directory = temporary_.path()}, *lake_,
                 *analytics_, *engine_, clock_, metrics_)
          .run_once();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(rows_of("rollup_by_bot", "SELECT bot, requests FROM {}"), (Rows{{std::nullopt, "1"}}));
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

// As after a vacuum of another engine, which does not know who has read what.
TEST_F(AggregatorTest, MakesItselfAnewWhereFilesAreGoneThatItHasNotRead) {
  add("2026-01-02", "('2026-01-02 03:04', 's', '/a', NULL, 200, 5)");
  run();
  const auto small = add("2026-01-02", "('2026-01-02 03:05', 's', '/b', NULL, 200, 5)");
  const auto merged = add("2026-01-02", "('2026-01-02 03:05', 's', '/b', NULL, 200, 5)");
  auto file = delta::DeltaTable::open(*lake_, clock_, "access_logs")->snapshot().files.at(merged);
  remove("DELETE", merged, "2026-01-02");
  run();
  // What was merged away before it was read, and deleted.
  const auto unread = add("2026-01-02", "('2026-01-02 03:06', 's', '/c', NULL, 200, 5)");
  const auto result = temporary_.path_of("lake/access_logs/" + unread);
  std::filesystem::copy(result, result + ".merged.parquet");
  file.path = unread + ".merged.parquet";
  file.data_change = false;
  commit("OPTIMIZE", {file}, {{unread, {{"date", "2026-01-02"}}, 0, false}});
  std::filesystem::remove(result);
  run();
  expect_rollups_equal_group_by();
  static_cast<void>(small);
}

}  // namespace
}  // namespace millrace::rollup
