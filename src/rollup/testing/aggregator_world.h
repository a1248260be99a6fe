#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/manual_clock.h"
#include "base/testing/temp_directory.h"
#include "base/time_text.h"
#include "rollup/aggregator.h"
#include "store/local_store.h"

namespace millrace::rollup {

using Rows = std::vector<sql::ResultRow>;

inline columnar::TableSchema source_schema() {
  using columnar::ColumnType;
  return {.columns = {{"timestamp", ColumnType::timestamp, true},
                      {"site", ColumnType::string, true},
                      {"path", ColumnType::string, true},
                      {"user_agent", ColumnType::string, false},
                      {"status", ColumnType::int32, false},
                      {"bytes", ColumnType::int64, false},
                      {"bot", ColumnType::string, false},
                      {"bot_operator", ColumnType::string, false},
                      {"bot_category", ColumnType::string, false},
                      {"date", ColumnType::date, false}},
          .partition_columns = {"date"}};
}

// In SQL: a user agent that ends in "bot" is a crawler of that name.
inline std::string crawler_columns(const std::string& user_agent) {
  return fmt::format(
      "CASE WHEN {0} LIKE '%bot' THEN {0} END::VARCHAR AS bot, "
      "CASE WHEN {0} LIKE '%bot' THEN 'us' END::VARCHAR AS bot_operator, "
      "CASE WHEN {0} LIKE '%bot' THEN 'other' END::VARCHAR AS bot_category",
      user_agent);
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
        "status::INTEGER AS status, bytes::BIGINT AS bytes, "
        "{} FROM (VALUES {}) v(t, site, path, ua, status, bytes)) TO {} (FORMAT parquet)",
        crawler_columns("ua"), values, sql::quote_text(local))));
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
                        fmt::format("SELECT date_trunc('hour', timestamp) AS hour, site{}, "
                                    "count(*), count(*) FILTER (status >= 500), "
                                    "coalesce(sum(bytes), 0)::BIGINT FROM {{}} GROUP BY ALL "
                                    "ORDER BY ALL",
                                    definition.dimension_list())));
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

}  // namespace millrace::rollup
