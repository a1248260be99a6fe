#include "sql/engine.h"

#include <gtest/gtest.h>

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
