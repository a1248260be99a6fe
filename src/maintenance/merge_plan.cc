#include "maintenance/merge_plan.h"

#include <algorithm>
#include <utility>

namespace millrace::maintenance {

std::vector<std::vector<delta::AddFile>> plan_merges(std::vector<delta::AddFile> partition,
                                                     std::uint64_t file_size_bytes,
                                                     std::size_t files_min) {
  constexpr std::int64_t size_ratio_max = 4;
  const auto size_max = static_cast<std::int64_t>(file_size_bytes);
  std::erase_if(partition,
                [size_max](const auto& file) { return file.size_bytes >= size_max / 4 * 3; });
  std::sort(partition.begin(), partition.end(), [](const auto& a, const auto& b) {
    return std::pair(a.size_bytes, a.path) < std::pair(b.size_bytes, b.path);
  });
  std::vector<std::vector<delta::AddFile>> groups;
  std::vector<delta::AddFile> group;
  std::int64_t group_bytes = 0;
  const auto end_group = [&] {
    if (group.size() >= std::max<std::size_t>(files_min, 2)) groups.push_back(std::move(group));
    group.clear();
    group_bytes = 0;
  };
  for (delta::AddFile& file : partition) {
    const bool is_full = group_bytes + file.size_bytes > size_max;
    const bool is_of_another_size = file.size_bytes > size_ratio_max * group_bytes;
    if (is_full || is_of_another_size) end_group();
    group_bytes += file.size_bytes;
    group.push_back(std::move(file));
  }
  end_group();
  return groups;
}

}  // namespace millrace::maintenance
