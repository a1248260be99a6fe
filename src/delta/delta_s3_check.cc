// Writers that race on one table, over a real S3 service. tests/test_s3.py starts one and runs
// this.
//
// Usage: delta_s3_check [gtest's flags]
// MILLRACE_S3_ENDPOINT, MILLRACE_S3_BUCKET  where; the credentials are found as AWS's tools do it
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "base/random_id.h"
#include "delta/delta_table.h"
#include "store/s3_store.h"

namespace millrace::delta {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

TEST(DeltaTableOnS3, GivesEachOfSixteenRacingWritersItsVersions) {
  constexpr int writers = 16;
  constexpr int commits_each = 5;
  const std::string prefix = random_uuid();
  const SystemClock clock;
  MetricsRegistry metrics;
  const auto open_store = [&] {
    return *store::S3Store::open({.endpoint = variable("MILLRACE_S3_ENDPOINT")},
                                 variable("MILLRACE_S3_BUCKET"), prefix, nullptr, metrics);
  };
  const columnar::TableSchema schema{.columns = {{"name", columnar::ColumnType::string, false}},
                                     .partition_columns = {}};
  {
    std::vector<std::jthread> threads;
    for (int writer = 0; writer < writers; ++writer) {
      threads.emplace_back([&, writer] {
        const auto own_store = open_store();
        auto table = DeltaTable::open_or_create(*own_store, clock, "t", schema,
                                                {.commit_attempts_max = 1'000});
        ASSERT_TRUE(table) << table.error().message;
        for (int i = 0; i < commits_each; ++i) {
          const auto start = i == 0 ? std::nullopt : std::optional<std::int64_t>(i);
          const auto committed = table->commit(
              {.operation = "WRITE",
               .adds = {{.path = fmt::format("{}-{}.parquet", writer, i)}},
               .removes = {},
               .progress = {
                   {.progress_id = std::to_string(writer), .start = start, .end = i + 1}}});
          ASSERT_TRUE(committed) << committed.error().message;
        }
      });
    }
  }
  const auto own_store = open_store();
  const auto table = DeltaTable::open(*own_store, clock, "t");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->snapshot().version.value(), writers * commits_each);
  EXPECT_EQ(table->snapshot().files.size(), writers * commits_each);
  for (const auto& [id, position] : table->snapshot().progress) EXPECT_EQ(position, commits_each);
}

}  // namespace
}  // namespace millrace::delta
