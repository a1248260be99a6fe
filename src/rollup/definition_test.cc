#include "rollup/definition.h"

#include <gtest/gtest.h>

#include "rollup/testing/aggregator_world.h"

namespace millrace::rollup {
namespace {

RollupDefinition slow_by_status() {
  return {.name = "rollup_slow",
          .dimensions = {"status", "path"},
          .measures = {{.name = "hits"},
                       {.name = "failed", .condition = "status >= 500"},
                       {.name = "total", .function = MeasureFunction::sum, .column = "bytes"},
                       {.name = "least", .function = MeasureFunction::min, .column = "bytes"},
                       {.name = "last_agent",
                        .function = MeasureFunction::max,
                        .column = "user_agent",
                        .condition = "user_agent <> 'z'"}},
          .filter = "site = 'a'"};
}

class UsersRollupTest : public AggregatorTest {
 protected:
  void aggregate() {
    Aggregator aggregator({.scratch_directory = temporary_.path(), .rollups = {definition_}},
                          *lake_, *analytics_, *engine_, clock_, metrics_);
    const auto done = aggregator.run_once();
    ASSERT_TRUE(done) << done.error().message;
  }

  Rows rows() {
    return rows_of(
        "rollup_slow",
        "SELECT status, path, hits, failed, total, least, last_agent FROM {} ORDER BY ALL");
  }

  RollupDefinition definition_ = slow_by_status();
};

TEST_F(UsersRollupTest, FoldsNewRecordsIntoAllOfItsMeasures) {
  add("2026-01-02",
      "('2026-01-02 03:04', 'a', '/1', 'x', 500, 5), "
      "('2026-01-02 03:05', 'b', '/1', 'x', 500, 5)");
  aggregate();
  add("2026-01-02",
      "('2026-01-02 03:06', 'a', '/1', 'y', 500, 2), "
      "('2026-01-02 03:07', 'a', '/1', 'z', 500, NULL), "
      "('2026-01-02 03:08', 'a', '/2', NULL, 200, NULL)");
  aggregate();
  EXPECT_EQ(rows(), (Rows{{"200", "/2", "1", "0", "0", std::nullopt, std::nullopt},
                          {"500", "/1", "3", "3", "7", "2", "y"}}));
  expect_rollups_equal_group_by();
}

TEST_F(UsersRollupTest, IsAnotherProgressOnceItMeansSomethingElse) {
  const auto id = definition_.progress_id("source");
  EXPECT_TRUE(RollupDefinition::is_progress_id(id));
  auto changed = definition_;
  changed.filter = "site = 'b'";
  EXPECT_NE(changed.progress_id("source"), id);
  changed = definition_;
  changed.measures[1].condition = "status >= 400";
  EXPECT_NE(changed.progress_id("source"), id);
  EXPECT_EQ(built_in_rollups()[0].progress_id("s"), "millrace-rollup/s/rollup_by_path@path.1")
      << "tables that are there depend on it";
}

TEST_F(UsersRollupTest, SaysWhatIsWrongWithADefinition) {
  struct Case {
    const char* name;
    void (*spoil)(RollupDefinition&);
    const char* message;
  };
  const Case cases[] = {
      {"no such dimension", [](auto& d) { d.dimensions = {"pathh"}; }, "\"pathh\" is not a column"},
      {"site is there anyway", [](auto& d) { d.dimensions = {"site"}; }, "is taken"},
      {"no measures", [](auto& d) { d.measures.clear(); }, "at least one measure"},
      {"two of a name", [](auto& d) { d.measures[1].name = "hits"; }, "is taken"},
      {"no word", [](auto& d) { d.measures[0].name = "a b"; }, "is not a name"},
      {"a count of a column", [](auto& d) { d.measures[0].column = "path"; }, "has no column"},
      {"a sum of nothing", [](auto& d) { d.measures[2].column = ""; }, "wants a column"},
      {"a sum of texts", [](auto& d) { d.measures[2].column = "path"; }, "it has no sum"},
      {"a filter that is no SQL", [](auto& d) { d.filter = "site == 'a' AND"; }, "Parser Error"},
      {"a filter of an unknown column", [](auto& d) { d.filter = "host = 'a'"; }, "host"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto definition = slow_by_status();
    c.spoil(definition);
    auto checked = check_names(definition);
    if (checked) checked = check_sql(definition, source_schema(), *engine_);
    ASSERT_FALSE(checked);
    EXPECT_NE(checked.error().message.find(c.message), std::string::npos)
        << checked.error().message;
  }
  EXPECT_TRUE(check_names(slow_by_status()));
  EXPECT_TRUE(check_sql(slow_by_status(), source_schema(), *engine_));
}

}  // namespace
}  // namespace millrace::rollup
