#include "delta/find_tables.h"

#include <algorithm>

namespace millrace::delta {

namespace {

// `prefix` is empty, or ends with a slash.
Result<void> find_below(store::ObjectStore& lake, const std::string& prefix,
                        std::set<std::string>& roots) {
  MR_TRY_ASSIGN(const auto folders, lake.list_folders(prefix));
  if (!prefix.empty() && std::find(folders.begin(), folders.end(), "_delta_log") != folders.end()) {
    roots.insert(prefix.substr(0, prefix.size() - 1));
    return {};
  }
  for (const std::string& name : folders) {
    // Folders of partitions have no tables in them.
    if (name.find('=') == std::string::npos) MR_TRY(find_below(lake, prefix + name + "/", roots));
  }
  return {};
}

}  // namespace

Result<std::set<std::string>> find_tables(store::ObjectStore& lake) {
  std::set<std::string> roots;
  MR_TRY(find_below(lake, "", roots));
  return roots;
}

}  // namespace millrace::delta
