#include "rollup/hour_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/time_text.h"

namespace millrace::rollup {

namespace {

std::optional<Hour> hour_at(const nlohmann::json& stats, const char* place) {
  const nlohmann::json::json_pointer pointer(place);
  if (!stats.is_object() || !stats.contains(pointer) || !stats[pointer].is_string()) {
    return std::nullopt;
  }
  const auto hour = parse_hour(stats[pointer].get<std::string>());
  return hour ? std::optional(*hour) : std::nullopt;
}

}  // namespace

bool HourSpan::contains_any(const Hours& hours) const {
  const auto at = hours.lower_bound(first);
  return at != hours.end() && *at <= last;
}

Result<HourSpan> hours_of(const delta::AddFile& file) {
  const auto stats = nlohmann::json::parse(file.stats_json, nullptr, false);
  const auto first = hour_at(stats, "/minValues/hour");
  const auto last = hour_at(stats, "/maxValues/hour");
  if (first && last) return HourSpan{*first, *last};
  const auto day = parse_iso_date(partition_date(file.partition_values));
  if (day) return HourSpan{*day, *day + std::chrono::hours(23)};
  return fail(Errc::corrupt,
              fmt::format("{}: neither its statistics nor its partition say which hours it holds",
                          file.path));
}

std::string hour_stats(Hour hour, std::int64_t rows) {
  const std::string text = to_rfc3339(hour).substr(0, 23) + "Z";  // To the millisecond.
  return nlohmann::json{{"numRecords", rows},
                        {"minValues", {{"hour", text}}},
                        {"maxValues", {{"hour", text}}},
                        {"nullCount", {{"hour", 0}}}}
      .dump();
}

std::vector<const delta::AddFile*> files_of(const delta::Snapshot& snapshot,
                                            const std::set<std::string>& dates) {
  std::vector<const delta::AddFile*> files;
  for (const auto& [path, file] : snapshot.files) {
    if (dates.contains(partition_date(file.partition_values))) files.push_back(&file);
  }
  return files;
}

std::string partition_date(const std::map<std::string, std::optional<std::string>>& values) {
  const auto found = values.find("date");
  return found == values.end() ? std::string() : found->second.value_or("");
}

std::string date_of(Hour hour) { return to_iso_date(day_of(hour)); }

std::string to_text(Hour hour) { return to_rfc3339(hour); }

Result<Hour> parse_hour(const std::string& text) {
  MR_TRY_ASSIGN(const Timestamp time, parse_rfc3339(text));
  return std::chrono::floor<std::chrono::hours>(time);
}

Result<TableFiles> open_files(store::ObjectStore& store, const std::string& root,
                              std::span<const store::ObjectSize> files) {
  std::vector<store::ObjectSize> objects;
  for (const auto& [path, size_bytes] : files) {
    objects.push_back({fmt::format("{}/{}", root, path), size_bytes});
  }
  TableFiles opened;
  MR_TRY_ASSIGN(opened.files, store.local_files(objects, {}));
  for (const auto& object : objects) opened.paths.push_back(opened.files->path_of(object.key));
  return opened;
}

}  // namespace millrace::rollup
