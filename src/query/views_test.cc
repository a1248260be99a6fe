#include "query/views.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/testing/manual_clock.h"
#include "base/testing/temp_directory.h"
#include "base/time_text.h"
#include "delta/delta_table.h"
#include "store/local_store.h"

namespace millrace::query {
namespace {

using columnar::ColumnType;
using PartitionValues = std::map<std::string, std::optional<std::string>>;

// Tables of a lake in a folder, and what SQL sees of them.
class ViewsTest : public testing::Test {
 protected:
  void create(const std::string& table, const std::string& later_column = "later") {
    const columnar::TableSchema schema{.columns = {{"time", ColumnType::timestamp, true},
                                                   {"name", ColumnType::string, false},
                                                   {"tags", ColumnType::string_map, false},
                                                   {later_column, ColumnType::int64, false},
                                                   {"date", ColumnType::date, false}},
                                       .partition_columns = {"date"}};
    ASSERT_TRUE(delta::DeltaTable::open_or_create(*lake_, clock_, table, schema));
  }

  // A file of a table with the columns of `select`.
  void add(const std::string& table, const std::string& path, PartitionValues values,
           const std::string& select) {
    const std::string local = local_path(table, path);
    std::filesystem::create_directories(std::filesystem::path(local).parent_path());
    const auto copied = writer_->execute(
        fmt::format("COPY ({}) TO {} (FORMAT parquet)", select, sql::quote_text(local)));
    ASSERT_TRUE(copied) << copied.error().message;
    auto opened = *delta::DeltaTable::open(*lake_, clock_, table);
    ASSERT_TRUE(opened.commit({.operation = "WRITE",
                               .adds = {{.path = path, .partition_values = std::move(values)}},
                               .removes = {},
                               .progress = {}}));
  }

  std::string local_path(const std::string& table, const std::string& path) {
    return fmt::format("{}/{}/{}", lake_directory_, table, path);
  }

  // The rows as "a|b|\n".
  std::string query(const std::string& sql) {
    auto engine = *sql::Engine::open({});
    const auto views = create_views(*engine, *lake_, clock_, sql, filter_);
    EXPECT_TRUE(views) << views.error().message;
    if (!views->unreadable.empty()) return views->unreadable.front().error.message;
    EXPECT_TRUE(engine->lock_down({lake_directory_}));
    const auto rows = engine->rows(sql);
    if (!rows) return rows.error().message;
    std::string text;
    for (const auto& row : *rows) {
      for (const auto& value : row) text += value.value_or("NULL") + "|";
      text += "\n";
    }
    return text;
  }

  void open_lake(const std::string& folder) {
    lake_directory_ = temporary_.path_of(folder);
    lake_ = *store::LocalStore::open(lake_directory_);
  }

  RecordFilter filter_;
  TempDirectory temporary_;
  ManualClock clock_{*parse_rfc3339("2026-02-01T00:00:00Z")};
  std::unique_ptr<sql::Engine> writer_ = *sql::Engine::open({});
  std::string lake_directory_ = temporary_.path_of("lake");
  std::unique_ptr<store::LocalStore> lake_ = *store::LocalStore::open(lake_directory_);
};

constexpr const char* one_row =
    "SELECT TIMESTAMPTZ '2026-01-02 03:04:05Z' AS time, 'a' AS name, MAP {'k': 'v'} AS tags";
constexpr const char* one_row_text =
    "2026-01-02T03:04:05.000000Z|a|{\"k\":\"v\"}|NULL|2026-01-02|\n";

TEST_F(ViewsTest, AreTheTablesOfTheLake) {
  create("logs");
  create("other");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  EXPECT_EQ(query("SELECT * FROM logs"), one_row_text);
  EXPECT_EQ(query("SELECT name FROM (SHOW TABLES) ORDER BY name"), "logs|\nother|\n");
}

TEST_F(ViewsTest, GiveATableWithoutFilesItsColumnsAndTypes) {
  create("logs");
  EXPECT_EQ(query("SELECT * FROM logs"), "");
  EXPECT_EQ(query("SELECT column_name, column_type FROM (DESCRIBE logs)"),
            "time|TIMESTAMP WITH TIME ZONE|\nname|VARCHAR|\ntags|MAP(VARCHAR, VARCHAR)|\n"
            "later|BIGINT|\ndate|DATE|\n");
}

TEST_F(ViewsTest, HaveNullsWhereAFileLacksAColumn) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  add("logs", "date=2026-01-02/2.parquet", {{"date", "2026-01-02"}},
      std::string(one_row) + ", 7::BIGINT AS later");
  EXPECT_EQ(query("SELECT name, later FROM logs ORDER BY later"), "a|7|\na|NULL|\n");
}

// Whatever files are called, the log says what partition they are of.
TEST_F(ViewsTest, TakePartitionValuesFromTheLog) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  add("logs", "elsewhere.parquet", {{"date", "2026-01-02"}}, one_row);
  add("logs", "date=2020-01-01/1.parquet", {{"date", "2026-01-03"}}, one_row);
  add("logs", "date=__HIVE_DEFAULT_PARTITION__/1.parquet", {{"date", std::nullopt}}, one_row);
  EXPECT_EQ(query("SELECT date, count(*) FROM logs GROUP BY date ORDER BY date"),
            "2026-01-02|2|\n2026-01-03|1|\nNULL|1|\n");
  EXPECT_EQ(query("SELECT * FROM logs WHERE date = '2026-01-02' LIMIT 1"), one_row_text);
}

TEST_F(ViewsTest, AreNotMisledByTheFoldersAboveTheLake) {
  open_lake("date=1999-01-01/lake");
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  EXPECT_EQ(query("SELECT * FROM logs"), one_row_text);
}

TEST_F(ViewsTest, OpenOnlyTheFilesOfThePartitionsAskedFor) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  add("logs", "date=2026-01-03/1.parquet", {{"date", "2026-01-03"}}, one_row);
  const std::string plan = query("EXPLAIN ANALYZE SELECT name FROM logs WHERE date = '2026-01-03'");
  EXPECT_NE(plan.find("Total Files Read: 1"), std::string::npos) << plan;
}

TEST_F(ViewsTest, AreFoundHoweverTheirNameIsSpelt) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  EXPECT_EQ(query("SELECT count(*) FROM LOGS"), "1|\n");
  EXPECT_EQ(query("SELECT count(*) FROM \"Logs\""), "1|\n");
  const std::string escaped = query("SELECT count(*) FROM U&\"l\\006Fgs\"");
  EXPECT_NE(escaped, "0|\n") << "rows must not vanish";
}

TEST_F(ViewsTest, ReadACopyOfTheFolder) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  std::filesystem::copy(lake_directory_, temporary_.path_of("copy"),
                        std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(lake_directory_);
  open_lake("copy");
  EXPECT_EQ(query("SELECT * FROM logs"), one_row_text);
}

TEST_F(ViewsTest, AreNotCalledUnreadableWhenTheQueryIsInterrupted) {
  create("logs");
  auto engine = *sql::Engine::open({});
  engine->interrupt();
  const auto views = create_views(*engine, *lake_, clock_, "SELECT 1 FROM logs", filter_);
  ASSERT_FALSE(views);
  EXPECT_EQ(views.error().code, Errc::unavailable);
}

TEST_F(ViewsTest, SayWhichFileIsGone) {
  create("logs");
  add("logs", "date=2026-01-02/1.parquet", {{"date", "2026-01-02"}}, one_row);
  std::filesystem::remove(local_path("logs", "date=2026-01-02/1.parquet"));
  EXPECT_EQ(query("SELECT * FROM logs"),
            fmt::format("the table logs has lost a file since version 1 was read (if a vacuum ran "
                        "just now, try again): reading {}: No such file or directory",
                        local_path("logs", "date=2026-01-02/1.parquet")));
}

// The table's own name for its time is "timestamp" here, as the filter knows it.
class FilteredViewsTest : public ViewsTest {
 protected:
  FilteredViewsTest() {
    const columnar::TableSchema schema{.columns = {{"timestamp", ColumnType::timestamp, true},
                                                   {"site", ColumnType::string, true},
                                                   {"date", ColumnType::date, false}},
                                       .partition_columns = {"date"}};
    EXPECT_TRUE(delta::DeltaTable::open_or_create(*lake_, clock_, "logs", schema));
    put("2026-01-02T10:00:00Z", "a");
    put("2026-01-02T23:59:59.999999Z", "b");
    put("2026-01-03T00:00:00Z", "a");
  }

  void put(const std::string& time, const std::string& site) {
    const std::string date = time.substr(0, 10);
    const std::string rounded = time.substr(0, 19) + (time.size() > 20 ? ".999Z" : ".000Z");
    const std::string path = fmt::format("date={}/{}.parquet", date, ++count_);
    const std::string local = local_path("logs", path);
    std::filesystem::create_directories(std::filesystem::path(local).parent_path());
    EXPECT_TRUE(writer_->execute(fmt::format(
        "COPY (SELECT TIMESTAMPTZ '{}' AS timestamp, '{}' AS site) TO {} (FORMAT parquet)", time,
        site, sql::quote_text(local))));
    auto opened = *delta::DeltaTable::open(*lake_, clock_, "logs");
    EXPECT_TRUE(opened.commit(
        {.operation = "WRITE",
         .adds = {{.path = path,
                   .partition_values = {{"date", date}},
                   .stats_json = fmt::format(R"({{"minValues":{{"timestamp":"{0}","site":"{1}"}},)"
                                             R"("maxValues":{{"timestamp":"{0}","site":"{1}"}}}})",
                                             rounded, site)}},
         .removes = {},
         .progress = {}}));
  }

  // The rows of the filter, and how many files were opened for them.
  std::pair<std::string, std::size_t> filtered(const char* from, const char* to, const char* site) {
    filter_ = {};
    if (from != nullptr) filter_.from = *parse_rfc3339(from);
    if (to != nullptr) filter_.to = *parse_rfc3339(to);
    if (site != nullptr) filter_.site = site;
    const auto table = *delta::DeltaTable::open(*lake_, clock_, "logs");
    std::size_t files = 0;
    for (const auto& [path, file] : table.snapshot().files) {
      files += may_hold(file, table.snapshot().schema, filter_) ? 1 : 0;
    }
    return {query("SELECT count(*), min(site), max(site) FROM logs"), files};
  }

 private:
  int count_ = 0;
};

TEST_F(FilteredViewsTest, HoldTheRecordsAskedForFromTheFilesThatMayHaveThem) {
  using Found = std::pair<std::string, std::size_t>;
  EXPECT_EQ(filtered(nullptr, nullptr, nullptr), Found("3|a|b|\n", 3));
  EXPECT_EQ(filtered("2026-01-03T00:00:00Z", nullptr, nullptr), Found("1|a|a|\n", 1));
  EXPECT_EQ(filtered(nullptr, "2026-01-03T00:00:00Z", nullptr), Found("2|a|b|\n", 2));
  EXPECT_EQ(filtered("2026-01-02T10:00:00.000001Z", nullptr, nullptr).first, "2|a|b|\n");
  // Its statistics say .999, since the protocol has milliseconds only.
  EXPECT_EQ(filtered("2026-01-02T23:59:59.999500Z", "2026-01-03T00:00:00Z", nullptr),
            Found("1|b|b|\n", 1));
  EXPECT_EQ(filtered(nullptr, nullptr, "b"), Found("1|b|b|\n", 1));
  EXPECT_EQ(filtered("2026-01-03T00:00:00Z", nullptr, "b"), Found("0|NULL|NULL|\n", 0));
}

}  // namespace
}  // namespace millrace::query
