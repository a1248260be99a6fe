#include "sql/engine.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/testing/temp_directory.h"

namespace millrace::sql {
namespace {

class EngineTest : public testing::Test {
 protected:
  std::string run(const std::string& sql) {
    const auto rows = engine_->rows(sql);
    if (!rows) return "error";
    std::string text;
    for (const auto& row : *rows) {
      for (const auto& value : row) text += value.value_or("NULL") + "|";
    }
    return text;
  }

  TempDirectory temporary_;
  std::unique_ptr<Engine> engine_ =
      *Engine::open({.temporary_directory = temporary_.path_of("spill")});
};

TEST_F(EngineTest, GivesEveryTypeAsText) {
  EXPECT_EQ(
      run("SELECT 1::TINYINT, -2::BIGINT, true, NULL, 'a''b', 1.5::DOUBLE, DATE '2026-01-02'"),
      "1|-2|true|NULL|a'b|1.5|2026-01-02|");
  EXPECT_EQ(run("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+02', "
                "170141183460469231731687303715884105727::HUGEINT"),
            "2026-01-02T01:04:05.000000Z|170141183460469231731687303715884105727|");
  EXPECT_EQ(run("SELECT 1.50::DECIMAL(4,2), [1,2], MAP {'k': 'v'}, INTERVAL 1 DAY;"),
            "1.50|[1,2]|{\"k\":\"v\"}|1 day|");
}

TEST_F(EngineTest, GivesInfinityItsName) {
  EXPECT_EQ(run("SELECT DATE 'infinity', DATE '-infinity', TIMESTAMPTZ '-infinity'"),
            "infinity|-infinity|-infinity|");
}

TEST_F(EngineTest, KnowsTheHourOfATimeAsDateTruncDoes) {
  const std::string times =
      "(VALUES ('2026-02-03 04:05:06.789Z'), ('1970-01-01 00:00:00Z'), ('1966-12-31 23:59:59.9Z'), "
      "('0001-01-01 00:00:01Z'), ('9999-12-31 23:59:59.999999Z'), (NULL)) v(text)";
  EXPECT_EQ(run("SELECT hour_of(text::TIMESTAMPTZ) FROM " + times),
            run("SELECT date_trunc('hour', text::TIMESTAMPTZ) FROM " + times));
  EXPECT_EQ(run("SELECT hour_of(max(text::TIMESTAMPTZ)) FROM " + times),
            "9999-12-31T23:00:00.000000Z|");
  EXPECT_EQ(run("SELECT typeof(hour_of(t)) FROM (SELECT now() AS t) GROUP BY ALL"),
            "TIMESTAMP WITH TIME ZONE|");
}

TEST_F(EngineTest, TakesAStatementWithAnEndAndAComment) {
  for (const char* end : {"", ";", " ; \n", "; -- a note", " -- a; note", "; /* a note */ ;"}) {
    EXPECT_EQ(run(std::string("SELECT 1.5 AS d, 'a;b'") + end), "1.5|a;b|") << end;
  }
}

TEST_F(EngineTest, WritesNowhereUnlessItIsToldWhere) {
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(temporary_.path());
  auto engine = *Engine::open({.memory_bytes_max = 20 << 20});
  const auto rows = engine->rows(
      "SELECT count(*) FROM (SELECT md5(i::VARCHAR) AS k FROM range(2000000) t(i) ORDER BY k)");
  EXPECT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Errc::exhausted) << rows.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(temporary_.path()));
  std::filesystem::current_path(before);
}

TEST_F(EngineTest, SaysWhatIsWrongInDuckDbsWords) {
  const auto rows = engine_->rows("SELECT nothing FROM nowhere");
  EXPECT_EQ(rows.error().code, Errc::invalid_argument);
  EXPECT_NE(rows.error().message.find("nowhere"), std::string::npos);
}

TEST_F(EngineTest, QuotesWhatGoesIntoStatements) {
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_list({"a'b", "c"}), "['a''b', 'c']");
}

TEST_F(EngineTest, LockedDownItReadsTheTablesFilesAndNothingElse) {
  const std::string inside = temporary_.path_of("inside.parquet");
  ASSERT_TRUE(
      engine_->execute("COPY (SELECT 42 AS x) TO " + quote_text(inside) + " (FORMAT parquet)"));
  ASSERT_TRUE(engine_->lock_down({temporary_.path()}));
  EXPECT_EQ(run("SELECT x FROM read_parquet(" + quote_text(inside) + ")"), "42|");
  for (const char* sql :
       {"SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/millrace_escape.csv'", "ATTACH '/tmp/millrace_escape.db'",
        "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true",
        "SET allowed_directories = ['/']", "SELECT * FROM glob('/etc/*')"}) {
    SCOPED_TRACE(sql);
    EXPECT_EQ(run(sql), "error");
  }
}

TEST_F(EngineTest, LockedDownItWritesNothingNotEvenBesideTheTablesFiles) {
  const std::string table = temporary_.path_of("table");
  std::filesystem::create_directories(table);
  const std::string file = table + "/1.parquet";
  ASSERT_TRUE(
      engine_->execute("COPY (SELECT 42 AS x) TO " + quote_text(file) + " (FORMAT parquet)"));
  ASSERT_TRUE(engine_->lock_down({table}));
  const std::string copy = "COPY (SELECT 1) TO " + quote_text(table + "/2.parquet");
  for (const std::string& sql :
       {copy, "EXPLAIN ANALYZE " + copy, "/* a */ explain -- b\n analyze " + copy,
        "EXPLAIN (ANALYZE, FORMAT json) " + copy, "PREPARE p AS " + copy,
        "COPY (SELECT 1) TO " + quote_text(file), "ATTACH " + quote_text(table + "/3.db"),
        "EXPORT DATABASE " + quote_text(table + "/4"), std::string("CREATE TABLE t (x INTEGER)"),
        "SELECT 1; " + copy}) {
    SCOPED_TRACE(sql);
    EXPECT_EQ(run(sql), "error");
  }
  EXPECT_FALSE(engine_->execute(copy));
  const std::string logging =
      "enable_logging(level = 'trace', storage = 'file', storage_config = "
      "{'path': " +
      quote_text(table + "/5") + "})";
  for (const std::string& sql :
       {"SELECT * FROM " + logging,
        "WITH t AS (FROM system.main.ENABLE_" + logging.substr(7) + ") FROM t",
        "SELECT (SELECT count(*) FROM " + logging + ")", "EXPLAIN ANALYZE FROM " + logging,
        "FROM query('FROM ' || " + quote_text(logging) + ")"}) {
    SCOPED_TRACE(sql);
    EXPECT_EQ(run(sql), "error");
  }
  EXPECT_EQ(run("SELECT 1"), "1|");
  engine_.reset();
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(table)) {
    names.push_back(entry.path().filename());
  }
  EXPECT_EQ(names, std::vector<std::string>{"1.parquet"});
}

TEST_F(EngineTest, LockedDownItStillExplainsAndDescribes) {
  ASSERT_TRUE(engine_->lock_down({temporary_.path()}));
  for (const char* sql :
       {"EXPLAIN SELECT 1", "explain analyze SELECT 1", "DESCRIBE SELECT 1", "SHOW TABLES",
        "SUMMARIZE SELECT 1 AS x", "WITH t AS (SELECT [1] AS x) SELECT * FROM t", "VALUES (1)"}) {
    SCOPED_TRACE(sql);
    EXPECT_NE(run(sql), "error");
  }
}

TEST_F(EngineTest, LockedDownItStillSpills) {
  auto small = *Engine::open(
      {.memory_bytes_max = 64UL << 20, .temporary_directory = temporary_.path_of("locked")});
  ASSERT_TRUE(small->lock_down({temporary_.path_of("none")}));
  const auto rows = small->rows(
      "SELECT count(*) FROM (SELECT * FROM (SELECT repeat('x', 100) || i AS t FROM "
      "range(1000000) r(i)) ORDER BY t DESC OFFSET 10)");
  ASSERT_TRUE(rows) << rows.error().message;
}

// A result larger than the memory limit, of which the sink wants little.
TEST_F(EngineTest, StreamsRowsAsTheSinkTakesThem) {
  class FirstRows final : public RowSink {
   public:
    void columns(const std::vector<ResultColumn>&) override {}
    bool row(const ResultRow& row) override {
      last = row.at(0).value_or("NULL");
      return ++count < 5000;
    }
    std::string last;
    int count = 0;
  };
  auto small = *Engine::open({.memory_bytes_max = 64UL << 20, .temporary_directory = {}});
  for (const char* value : {"i", "[i]"}) {
    FirstRows sink;
    const auto done = small->query(
        std::string("SELECT ") + value + ", repeat('x', 1000) FROM range(10000000) r(i)", sink);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(sink.count, 5000);
  }
}

TEST_F(EngineTest, SaysWhatFailedLateInAStream) {
  const auto rows = engine_->rows("SELECT (100000 - i)::UINTEGER FROM range(200000) r(i)");
  ASSERT_FALSE(rows);
  EXPECT_NE(rows.error().message.find("Conversion Error"), std::string::npos);
}

TEST_F(EngineTest, KeepsTheOrderOfRowsThatDuckDbMakesText) {
  const auto rows = *engine_->rows("SELECT [i] FROM range(300000) r(i) ORDER BY i DESC");
  ASSERT_EQ(rows.size(), 300000U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].at(0), "[" + std::to_string(299999 - i) + "]");
  }
}

TEST_F(EngineTest, CallsAFileThatIsGoneUnavailable) {
  EXPECT_EQ(engine_->rows("SELECT * FROM read_parquet('/nowhere/1.parquet')").error().code,
            Errc::unavailable);
}

TEST_F(EngineTest, SortsMoreThanItsMemoryHolds) {
  auto small = *Engine::open(
      {.memory_bytes_max = 64UL << 20, .temporary_directory = temporary_.path_of("small")});
  const auto rows = small->rows(
      "SELECT count(*) FROM (SELECT * FROM (SELECT i, repeat('x', 100) || i AS t FROM "
      "range(1000000) r(i)) "
      "ORDER BY t DESC OFFSET 10)");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->at(0).at(0), "999990");
}

}  // namespace
}  // namespace millrace::sql
