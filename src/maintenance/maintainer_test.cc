#include "maintenance/maintainer.h"

#include <algorithm>
#include <fstream>

#include "base/clock.h"
#include "maintenance/erasure.h"
#include "query/record_filter.h"
#include "rollup/testing/aggregator_world.h"
#include "store/testing/forwarding_store.h"

namespace millrace::maintenance {
namespace {

using namespace std::chrono_literals;
using rollup::Rows;

class MaintainerTest : public rollup::AggregatorTest {
 protected:
  // Objects have the times of the machine's clock: the world's starts there.
  MaintainerTest() { clock_.advance(SystemClock().now() - clock_.now()); }

  Result<TableMaintenance> maintain(const std::string& table = "access_logs") {
    return maintain_in(*lake_, table);
  }

  Result<TableMaintenance> maintain_in(store::ObjectStore& lake, const std::string& table) {
    options_.scratch_directory = temporary_.path();
    Maintainer maintainer(options_, lake, *engine_, clock_, metrics_,
                          [this](const std::string& line) { told_ += line + "\n"; });
    return maintainer.run(table);
  }

  delta::DeltaTable table(const std::string& name = "access_logs") {
    return *delta::DeltaTable::open(*lake_, clock_, name);
  }

  Rows records() { return rows_of("access_logs", "SELECT * FROM {} ORDER BY ALL"); }

  bool exists(const std::string& path) const {
    return std::filesystem::exists(temporary_.path_of("lake/access_logs/" + path));
  }

  // Three files of one day that is over.
  void add_three() {
    paths_ = {add("2026-01-02", "('2026-01-02 03:04', 'b', '/1', 'x', 200, 5)"),
              add("2026-01-02", "('2026-01-02 02:04', 'b', '/2', NULL, 500, NULL)"),
              add("2026-01-02", "('2026-01-02 05:04', 'a', '/3', 'y', 200, 7)")};
  }

  MaintenanceOptions options_;
  std::string told_;
  std::vector<std::string> paths_;
};

TEST_F(MaintainerTest, MergesTheSmallFilesOfADayIntoOneWithTheSameRows) {
  add_three();
  run();
  const Rows before = records();
  const auto done = maintain();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->files_before, 3U);
  EXPECT_EQ(done->files_after, 1U);
  EXPECT_EQ(done->files_merged, 3U);
  EXPECT_EQ(records(), before);
  EXPECT_EQ(rows_of("access_logs", "SELECT path FROM {}"), (Rows{{"/3"}, {"/2"}, {"/1"}}))
      << "by site, then time";
  for (const auto& path : paths_) EXPECT_TRUE(exists(path)) << "open readers finish";
  EXPECT_EQ(run().files_folded, 0U) << "nothing is counted twice";
  expect_rollups_equal_group_by();
}

TEST_F(MaintainerTest, WritesBoundsThatHideNoRows) {
  add_three();
  ASSERT_TRUE(maintain());
  const auto merged = table();
  const delta::AddFile& file = merged.snapshot().files.begin()->second;
  EXPECT_FALSE(file.data_change);
  EXPECT_NE(file.stats_json.find("\"numRecords\":3"), std::string::npos) << file.stats_json;
  EXPECT_NE(file.stats_json.find("\"user_agent\":1"), std::string::npos) << "nulls are counted";
  const auto may_hold = [&](const char* from, const char* to, const char* site) {
    query::RecordFilter filter;
    if (from != nullptr) filter.from = *parse_rfc3339(from);
    if (to != nullptr) filter.to = *parse_rfc3339(to);
    if (site != nullptr) filter.site = site;
    return query::may_hold(file, merged.snapshot().schema, filter);
  };
  EXPECT_TRUE(may_hold("2026-01-02T05:04:00Z", nullptr, "a"));
  EXPECT_TRUE(may_hold(nullptr, "2026-01-02T02:04:01Z", "b"));
  EXPECT_FALSE(may_hold("2026-01-02T06:00:00Z", nullptr, nullptr));
  EXPECT_FALSE(may_hold(nullptr, nullptr, "c"));
}

TEST_F(MaintainerTest, WaitsForMoreFilesOfADayThatStillGetsRecords) {
  const std::string today = to_iso_date(day_of(clock_.now()));
  options_.files_min = 3;
  const std::string row = fmt::format("('{} 00:00', 's', '/', NULL, 200, 1)", today);
  add(today, row);
  add(today, row);
  EXPECT_EQ(maintain()->files_after, 2U);
  add(today, row);
  EXPECT_EQ(maintain()->files_after, 1U);
  EXPECT_EQ(records().size(), 3U);
}

TEST_F(MaintainerTest, DoesNothingInADryRunButSaysWhatItWould) {
  add_three();
  for (int i = 0; i < 25; ++i) add("2026-01-03", "('2026-01-03 03:04', 'a', '/', NULL, 200, 5)");
  std::ofstream(temporary_.path_of("lake/access_logs/date=2026-01-02/orphan.parquet")) << "x";
  clock_.advance(60 * 24h);
  options_.is_dry_run = true;
  options_.record_retention = 24h;
  const auto objects = [this] {
    std::vector<std::pair<std::string, Timestamp>> all;
    const auto listed = lake_->list("");
    for (const auto& object : *listed) all.emplace_back(object.key, object.modified);
    return all;
  };
  const auto before = objects();
  const auto done = maintain();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->files_merged, 28U);
  EXPECT_EQ(done->files_expired, 28U);
  EXPECT_EQ(done->vacuumed.count, 1U);
  EXPECT_GT(done->log_cleaned.count, 10U);
  EXPECT_EQ(objects(), before);
  EXPECT_NE(told_.find("access_logs/date=2026-01-02: 3 small files"), std::string::npos) << told_;
  EXPECT_NE(told_.find("the time of 28 files"), std::string::npos) << told_;
}

TEST_F(MaintainerTest, LeavesFilesToTheNextRunThatAnotherProcessHasRemoved) {
  class Meddling final : public store::ForwardingStore {
   public:
    Meddling(store::ObjectStore& inner, std::function<void()> meddle)
        : ForwardingStore(inner), meddle_(std::move(meddle)) {}
    Result<std::unique_ptr<store::ObjectWriter>> create(std::string_view key) override {
      if (meddle_) std::exchange(meddle_, {})();
      return ForwardingStore::create(key);
    }

   private:
    std::function<void()> meddle_;
  };
  add_three();
  Meddling lake(*lake_, [this] { remove("DELETE", paths_[1], "2026-01-02"); });
  const auto done = maintain_in(lake, "access_logs");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->files_merged, 0U);
  EXPECT_EQ(table().snapshot().files.size(), 2U) << "what was deleted does not come back";
  EXPECT_NE(told_.find("another process"), std::string::npos);
  EXPECT_EQ(maintain()->files_after, 1U);
  EXPECT_EQ(records().size(), 2U);
}

TEST_F(MaintainerTest, EndsTheTimeOfOldRecordsAndKeepsTheirSums) {
  add("2026-01-02", "('2026-01-02 03:04', 'a', '/old', NULL, 200, 5)");
  const std::string today = to_iso_date(day_of(clock_.now()));
  add(today, fmt::format("('{} 00:00', 'a', '/new', NULL, 200, 5)", today));
  run();
  const Rows sums = rollup_rows("rollup_by_path");
  options_.record_retention = 30 * 24h;
  const auto done = maintain();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->files_expired, 1U);
  EXPECT_EQ(records().size(), 1U);
  run();
  EXPECT_EQ(rollup_rows("rollup_by_path"), sums);
  EXPECT_EQ(maintain("rollup_by_path")->files_expired, 0U) << "sums are not records";
}

TEST_F(MaintainerTest, KeepsOldRecordsThatCameLatelyAsLongAsOthers) {
  add("2026-01-02", "('2026-01-02 03:04', 'a', '/old', NULL, 200, 5)");
  auto late = table().snapshot().files.begin()->second;
  remove("DELETE", late.path, "2026-01-02");
  late.path = add("2026-01-02", "('2026-01-02 03:05', 'a', '/late', NULL, 200, 5)");
  auto found = table().snapshot().files.at(late.path);
  found.stats_json =
      fmt::format(R"({{"maxValues":{{"received_at":"{}"}}}})", to_rfc3339(clock_.now() - 29 * 24h));
  commit("WRITE", {found}, {});
  options_.record_retention = 30 * 24h;
  EXPECT_EQ(maintain()->files_expired, 0U);
  clock_.advance(2 * 24h);
  EXPECT_EQ(maintain()->files_expired, 1U);
}

class RetentionAndRollupsTest : public MaintainerTest {
 protected:
  RetentionAndRollupsTest() {
    options_.record_retention = 30 * 24h;
    path_ = add("2026-01-02",
                "('2026-01-02 03:04', 'a', '/1', NULL, 200, 5), "
                "('2026-01-02 03:05', 'a', '/1', NULL, 200, 5)");
    run();
  }

  std::string requests() {
    return rows_of("rollup_by_path", "SELECT sum(requests)::BIGINT FROM {}")
        .at(0)
        .at(0)
        .value_or("");
  }

  std::string path_;
};

TEST_F(RetentionAndRollupsTest, KeepSumsOfADayThatLostRecordsBeforeItExpired) {
  const auto rest = add("2026-01-02", "('2026-01-02 03:04', 'a', '/1', NULL, 200, 5)");
  remove("DELETE", path_, "2026-01-02");
  ASSERT_EQ(maintain()->files_expired, 1U);
  run();
  EXPECT_EQ(requests(), "3") << "what was left of the day is no measure any more";
}

TEST_F(RetentionAndRollupsTest, KeepSumsThroughARebuildAndAddWhatCameLate) {
  ASSERT_EQ(maintain()->files_expired, 1U);
  run();
  add("2026-01-02", "('2026-01-02 03:06', 'a', '/1', NULL, 200, 5)");
  ASSERT_TRUE(aggregator().rebuild(""));
  EXPECT_EQ(requests(), "3");
  ASSERT_TRUE(aggregator().rebuild(""));
  EXPECT_EQ(requests(), "3");
  const auto late = table().snapshot().files.begin()->second;
  remove("DELETE", late.path, "2026-01-02");
  run();
  EXPECT_EQ(requests(), "3") << "a day that has expired is not made anew";
}

TEST_F(MaintainerTest, DoesNotTouchTablesOfOthers) {
  add_three();
  auto other =
      *delta::DeltaTable::open_or_create(*lake_, clock_, "others", rollup::source_schema());
  for (const char* path : {"date=2026-01-02/1.parquet", "date=2026-01-02/2.parquet"}) {
    ASSERT_TRUE(lake_->put(std::string("others/") + path, "not even Parquet"));
    ASSERT_TRUE(
        other.commit({.operation = "WRITE",
                      .adds = {{.path = path, .partition_values = {{"date", "2026-01-02"}}}},
                      .removes = {},
                      .progress = {}}));
  }
  options_.record_retention = 30 * 24h;
  options_.scratch_directory = temporary_.path();
  Maintainer maintainer(options_, *lake_, *engine_, clock_, metrics_, [](const std::string&) {});
  const auto done = maintainer.run();
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_TRUE(other.refresh());
  EXPECT_EQ(other.snapshot().version.value(), 2);
  EXPECT_EQ(table().snapshot().files.size(), 0U);
}

TEST_F(MaintainerTest, GoesOnWithTheRestWhereAFileIsDamaged) {
  add_three();
  ASSERT_TRUE(lake_->put("access_logs/" + paths_[0], "damaged"));
  add("2026-01-03", "('2026-01-03 03:04', 'a', '/', NULL, 200, 5)");
  add("2026-01-03", "('2026-01-03 03:05', 'a', '/', NULL, 200, 5)");
  std::ofstream(temporary_.path_of("lake/access_logs/date=2026-01-02/orphan.parquet")) << "x";
  clock_.advance(8 * 24h);
  EXPECT_FALSE(maintain());
  EXPECT_EQ(table().snapshot().files.size(), 4U) << "the other day's files are merged";
  EXPECT_FALSE(exists("date=2026-01-02/orphan.parquet"));
}

TEST_F(MaintainerTest, ErasesASiteFromRecordsAndSumsAndNothingElse) {
  add_three();
  add("2026-01-03", "('2026-01-03 03:04', 'b', '/4', NULL, 200, 5)");
  add("2026-01-05",
      "('2026-01-05 03:04', 'b', '/old', NULL, 200, 5), "
      "('2026-01-05 03:04', 'a', '/old', NULL, 200, 5)");
  run();
  // A day whose records are gone has sums of the site all the same.
  options_.record_retention = 1h;
  clock_.advance(1h);
  const auto before = table();
  for (const auto& [path, file] : before.snapshot().files) {
    if (path.starts_with("date=2026-01-05")) {
      commit(std::string(delta::retention_operation), {}, {{path, file.partition_values, 0, true}});
    }
  }
  const auto erase = [this](bool is_dry_run) {
    return erase_site({.site = "b",
                       .tables = {"access_logs", "dead_letters", "rollup_by_path",
                                  "rollup_by_user_agent", "rollup_by_status", "rollup_by_bot"},
                       .is_dry_run = is_dry_run,
                       .scratch_directory = temporary_.path()},
                      *lake_, *engine_, clock_);
  };
  const auto version = table().snapshot().version;
  const auto planned = erase(true);
  ASSERT_TRUE(planned) << planned.error().message;
  EXPECT_EQ(planned->at(0).rows, 3);
  EXPECT_EQ(table().snapshot().version, version);
  const auto erased = erase(false);
  ASSERT_TRUE(erased) << erased.error().message;
  EXPECT_EQ(erased->at(0).files, 3U);
  EXPECT_EQ(rows_of("access_logs", "SELECT site, path FROM {}"), (Rows{{"a", "/3"}}));
  run();
  for (const auto& definition : rollup::built_in_rollups()) {
    EXPECT_EQ(rows_of(definition.name, "SELECT DISTINCT site FROM {}"), (Rows{{"a"}}));
    EXPECT_EQ(rows_of(definition.name, "SELECT sum(requests)::BIGINT FROM {}"), (Rows{{"2"}}))
        << "one record, and the sum of one that has expired";
  }
  EXPECT_EQ(erase(false)->at(0).rows, 0);
}

TEST_F(MaintainerTest, StopsBetweenTwoObjects) {
  std::filesystem::create_directories(temporary_.path_of("lake/access_logs/date=2026-01-02"));
  add_three();
  for (int i = 0; i < 20; ++i) {
    std::ofstream(temporary_.path_of(fmt::format("lake/access_logs/date=2026-01-02/{}.x", i)));
  }
  clock_.advance(8 * 24h);
  class Counting final : public store::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Result<void> remove(std::string_view key) override {
      if (++removed == 3) maintainer->stop();
      return ForwardingStore::remove(key);
    }
    Maintainer* maintainer = nullptr;
    int removed = 0;
  };
  Counting lake(*lake_);
  options_.scratch_directory = temporary_.path();
  Maintainer maintainer(options_, lake, *engine_, clock_, metrics_, [](const std::string&) {});
  lake.maintainer = &maintainer;
  EXPECT_FALSE(maintainer.run());
  EXPECT_EQ(lake.removed, 3);
}

TEST_F(MaintainerTest, DeletesWhatNobodyNeedsAndNothingElse) {
  add_three();
  run();
  ASSERT_TRUE(maintain());
  std::ofstream(temporary_.path_of("lake/access_logs/date=2026-01-02/orphan.parquet")) << "x";
  std::ofstream(temporary_.path_of("lake/access_logs/_other")) << "x";
  EXPECT_EQ(maintain()->vacuumed.count, 0U) << "too young";
  clock_.advance(8 * 24h);
  const auto done = maintain();
  EXPECT_EQ(done->vacuumed.count, 4U);
  for (const auto& path : paths_) EXPECT_FALSE(exists(path));
  EXPECT_FALSE(exists("date=2026-01-02/orphan.parquet"));
  EXPECT_TRUE(exists("_other"));
  EXPECT_EQ(records().size(), 3U);
  EXPECT_EQ(maintain()->vacuumed.count, 0U);
}

TEST_F(MaintainerTest, KeepsWhatARollupHasNotRead) {
  add("2026-01-01", "('2026-01-01 03:04', 'a', '/0', NULL, 200, 5)");
  run();
  add_three();
  ASSERT_TRUE(maintain());
  clock_.advance(60 * 24h);
  const auto done = maintain();
  EXPECT_EQ(done->vacuumed.count, 0U);
  for (const auto& path : paths_) EXPECT_TRUE(exists(path));
  EXPECT_EQ(run().files_folded, 12U) << "three files, four rollups";
  expect_rollups_equal_group_by();
  EXPECT_EQ(maintain()->vacuumed.count, 3U);
}

TEST_F(MaintainerTest, CutsTheLogBehindACheckpointThatIsOldEnough) {
  options_.compacts = false;
  for (int i = 0; i < 25; ++i) {
    add("2026-01-02", fmt::format("('2026-01-02 03:04', 'a', '/{}', NULL, 200, 5)", i));
  }
  EXPECT_EQ(maintain()->log_cleaned.count, 0U);
  clock_.advance(31 * 24h);
  const auto done = maintain();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->log_cleaned.count, 21U) << "versions 0 to 19, and the checkpoint of 10";
  EXPECT_EQ(records().size(), 25U);
  EXPECT_TRUE(table().changes_after(delta::Version(20)));
  EXPECT_FALSE(table().changes_after(delta::Version(18)));
  add("2026-01-02", "('2026-01-02 03:04', 'a', '/late', NULL, 200, 5)");
  EXPECT_EQ(records().size(), 26U);
}

TEST_F(MaintainerTest, KeepsTheLogThatARollupHasNotRead) {
  options_.compacts = false;
  add("2026-01-02", "('2026-01-02 03:04', 'a', '/first', NULL, 200, 5)");
  run();
  for (int i = 0; i < 25; ++i) {
    add("2026-01-02", fmt::format("('2026-01-02 03:04', 'a', '/{}', NULL, 200, 5)", i));
  }
  clock_.advance(31 * 24h);
  EXPECT_EQ(maintain()->log_cleaned.count, 1U) << "the checkpoint of 10, which 20 supersedes";
  EXPECT_EQ(run().files_folded, 100U);
  expect_rollups_equal_group_by();
  EXPECT_EQ(maintain()->log_cleaned.count, 20U);
}

}  // namespace
}  // namespace millrace::maintenance
