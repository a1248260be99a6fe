#include "writer/day_files.h"

#include <utility>

#include "base/crash_point.h"
#include "base/random_id.h"

namespace millrace::writer {

DayFiles::DayFiles(store::ObjectStore& store, const Clock& clock, std::string root,
                   const columnar::TableSchema& schema, columnar::FileBuilderOptions options)
    : store_(&store),
      clock_(&clock),
      root_(std::move(root)),
      schema_(&schema),
      options_(std::move(options)) {}

columnar::FileBuilder& DayFiles::builder(Day day) {
  return builders_.try_emplace(day, *schema_, options_).first->second;
}

std::size_t DayFiles::memory_bytes() const {
  std::size_t total = 0;
  for (const auto& [day, builder] : builders_) total += builder.memory_bytes();
  return total;
}

Result<void> DayFiles::finish() {
  while (!builders_.empty()) {
    const auto& [day, builder] = *builders_.begin();
    const std::string date = to_iso_date(day);
    const std::string path = "date=" + date + "/" + random_uuid() + ".parquet";
    const std::string key = root_ + "/" + path;
    crash_point("writer.before_file_finish");
    MR_TRY_ASSIGN(const auto object, store_->create(key));
    const auto summary = builder.finish(*object);
    if (!summary) {
      // The next attempt takes a new name; this object is perhaps there.
      static_cast<void>(store_->remove(key));
      return tl::unexpected(summary.error());
    }
    crash_point("writer.after_file_finish");
    files_.push_back({.path = path,
                      .partition_values = {{"date", date}},
                      .size_bytes = summary->size_bytes,
                      .modified = clock_->now(),
                      .data_change = true,
                      .stats_json = summary->stats_json});
    builders_.erase(builders_.begin());
  }
  return {};
}

void DayFiles::release() {
  builders_.clear();
  files_.clear();
}

void DayFiles::discard() {
  for (const delta::AddFile& file : files_) {
    static_cast<void>(store_->remove(root_ + "/" + file.path));
  }
  release();
}

}  // namespace millrace::writer
