#include "maintenance/erasure.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/crash_point.h"
#include "delta/delta_table.h"
#include "delta/find_tables.h"
#include "maintenance/file_rewriter.h"
#include "query/record_filter.h"

namespace millrace::maintenance {

namespace {

class Eraser {
 public:
  Eraser(const ErasureOptions& options, store::ObjectStore& lake, sql::Engine& engine,
         const Clock& clock)
      : options_(options),
        lake_(lake),
        engine_(engine),
        clock_(clock),
        is_of_site_("site = " + sql::quote_text(options.site)) {}

  Result<Erased> erase(const std::string& name) {
    MR_TRY_ASSIGN(auto table, delta::DeltaTable::open(lake_, clock_, name));
    Erased erased{.table = name};
    const query::RecordFilter filter{.from = {}, .to = {}, .site = options_.site};
    // A commit a day: what fails then is one day's work.
    std::map<std::string, std::vector<delta::AddFile>> days;
    for (const auto& [path, file] : table.snapshot().files) {
      if (!query::may_hold(file, table.snapshot().schema, filter)) continue;
      const auto date = file.partition_values.find("date");
      days[date == file.partition_values.end() ? "" : date->second.value_or("")].push_back(file);
    }
    for (const auto& [date, files] : days) MR_TRY(erase(table, files, erased));
    return erased;
  }

 private:
  Result<void> erase(delta::DeltaTable& table, const std::vector<delta::AddFile>& files,
                     Erased& erased) {
    delta::Commit commit{.operation = "DELETE"};
    FileRewriter rewriter(lake_, engine_, clock_, options_.scratch_directory);
    std::int64_t rows = 0;
    for (const delta::AddFile& file : files) {
      MR_TRY_ASSIGN(const auto counts, count(table, file));
      if (counts.of_site == 0) continue;
      rows += counts.of_site;
      commit.removes.push_back({file.path, file.partition_values, file.size_bytes, true});
      if (options_.is_dry_run || counts.of_site == counts.all) continue;
      MR_TRY_ASSIGN(delta::AddFile rest,
                    rewriter.rewrite(table, {file}, fmt::format("({}) IS NOT TRUE", is_of_site_)));
      rest.data_change = true;
      commit.adds.push_back(std::move(rest));
    }
    if (commit.removes.empty()) return {};
    if (table.is_append_only()) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: delta.appendOnly is set: nothing can be erased", table.root()));
    }
    erased.files += commit.removes.size();
    erased.rows += rows;
    if (options_.is_dry_run) return {};
    crash_point("maintenance.before_commit");
    MR_TRY(table.commit(commit));
    return {};
  }

  struct Counts {
    std::int64_t all = 0;
    std::int64_t of_site = 0;
  };

  Result<Counts> count(const delta::DeltaTable& table, const delta::AddFile& file) {
    const std::string key = table.root() + '/' + file.path;
    MR_TRY_ASSIGN(const auto local,
                  lake_.local_files({{key, static_cast<std::uint64_t>(file.size_bytes)}}, {}));
    MR_TRY_ASSIGN(
        const auto rows,
        engine_.rows(fmt::format("SELECT count(*), count(*) FILTER ({}) FROM read_parquet({}, "
                                 "hive_partitioning = false)",
                                 is_of_site_, sql::quote_text(local->path_of(key)))));
    return Counts{std::stoll(rows.at(0).at(0).value_or("0")),
                  std::stoll(rows.at(0).at(1).value_or("0"))};
  }

  const ErasureOptions& options_;
  store::ObjectStore& lake_;
  sql::Engine& engine_;
  const Clock& clock_;
  const std::string is_of_site_;
};

}  // namespace

Result<std::vector<Erased>> erase_site(const ErasureOptions& options, store::ObjectStore& lake,
                                       sql::Engine& engine, const Clock& clock) {
  MR_TRY_ASSIGN(const auto present, delta::find_tables(lake));
  std::vector<Erased> all;
  Eraser eraser(options, lake, engine, clock);
  for (const std::string& name : options.tables) {
    if (!present.contains(name)) continue;
    MR_TRY_ASSIGN(all.emplace_back(), eraser.erase(name));
  }
  return all;
}

}  // namespace millrace::maintenance
