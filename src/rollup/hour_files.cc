#include "rollup/hour_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/time_text.h"

namespace millrace::rollup {

Result<Hour> hour_of(const delta::AddFile& file) {
  const auto stats = nlohmann::json::parse(file.stats_json, nullptr, false);
  const nlohmann::json::json_pointer place("/minValues/hour");
  if (stats.is_object() && stats.contains(place) && stats[place].is_string()) {
    return parse_hour(stats[place].get<std::string>());
  }
  return fail(Errc::corrupt,
              fmt::format("{}: its statistics do not say which hour it holds", file.path));
}

std::string hour_stats(Hour hour, std::int64_t rows) {
  const std::string text = to_rfc3339(hour).substr(0, 23) + "Z";  // To the millisecond.
  return nlohmann::json{{"numRecords", rows},
                        {"minValues", {{"hour", text}}},
                        {"maxValues", {{"hour", text}}},
                        {"nullCount", {{"hour", 0}}}}
      .dump();
}

Result<std::map<Hour, delta::AddFile>> files_by_hour(const delta::Snapshot& snapshot) {
  std::map<Hour, delta::AddFile> files;
  for (const auto& [path, file] : snapshot.files) {
    MR_TRY_ASSIGN(const Hour hour, hour_of(file));
    files.emplace(hour, file);
  }
  return files;
}

std::string to_text(Hour hour) { return to_rfc3339(hour); }

Result<Hour> parse_hour(const std::string& text) {
  MR_TRY_ASSIGN(const Timestamp time, parse_rfc3339(text));
  return std::chrono::floor<std::chrono::hours>(time);
}

}  // namespace millrace::rollup
