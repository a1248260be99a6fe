#include "maintenance/merge_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace millrace::maintenance {
namespace {

using Sizes = std::vector<std::int64_t>;

std::vector<Sizes> plan(const Sizes& sizes, std::size_t files_min) {
  std::vector<delta::AddFile> files;
  for (const std::int64_t size : sizes) {
    files.push_back({.path = fmt::format("{}.parquet", files.size()), .size_bytes = size});
  }
  std::vector<Sizes> groups;
  for (const auto& group : plan_merges(files, 100, files_min)) {
    auto& group_sizes = groups.emplace_back();
    for (const auto& file : group) group_sizes.push_back(file.size_bytes);
  }
  return groups;
}

TEST(MergePlan, MergesSmallFilesUpToTheSize) {
  EXPECT_EQ(plan({40, 30, 20, 30}, 2), (std::vector<Sizes>{{20, 30, 30}}));
  EXPECT_EQ(plan({40, 40, 40, 40}, 2), (std::vector<Sizes>{{40, 40}, {40, 40}}));
}

TEST(MergePlan, LeavesLargeFilesAlone) {
  EXPECT_EQ(plan({75, 80, 200, 10}, 2), (std::vector<Sizes>{}));
  EXPECT_EQ(plan({}, 2), (std::vector<Sizes>{}));
}

TEST(MergePlan, WaitsForAsManyAsAreWanted) {
  EXPECT_EQ(plan({1, 1, 1}, 4), (std::vector<Sizes>{}));
  EXPECT_EQ(plan({1, 1, 1, 1}, 4), (std::vector<Sizes>{{1, 1, 1, 1}}));
  EXPECT_EQ(plan({5}, 0), (std::vector<Sizes>{})) << "one file is no merge";
}

TEST(MergePlan, RewritesAFileOnlyForAGoodDealMore) {
  EXPECT_EQ(plan({60, 1, 1}, 2), (std::vector<Sizes>{{1, 1}}));
  EXPECT_EQ(plan({60, 10, 10}, 2), (std::vector<Sizes>{{10, 10, 60}}));
}

}  // namespace
}  // namespace millrace::maintenance
