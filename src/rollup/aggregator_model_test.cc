#include <map>
#include <random>
#include <set>

#include "rollup/testing/aggregator_world.h"
#include "store/testing/faulty_store.h"

namespace millrace::rollup {
namespace {

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
                            std::array{"NULL", "'ua'", "'a bot'", "'b bot'"}.at(random_() % 4),
                            random_() % 2 == 0 ? 200 : 500,
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
          "SELECT date_trunc('hour', t::TIMESTAMPTZ) AS hour, site{}, count(*), "
          "count(*) FILTER (status >= 500), least(sum(bytes), 9223372036854775807)::BIGINT "
          "FROM (SELECT *, {} FROM (VALUES {}) v(t, site, path, user_agent, status, bytes)) "
          "GROUP BY ALL ORDER BY ALL",
          definition.dimension_list(), crawler_columns("user_agent"), values));
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

}  // namespace
}  // namespace millrace::rollup
