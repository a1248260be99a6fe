#include "analytics/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "query/column_sql.h"
#include "query/views.h"
#include "rollup/definition.h"

namespace millrace::analytics {

namespace {

constexpr const char* records_table = "access_logs";
constexpr const char* rejects_table = "dead_letters";

// A rollup that lacks what came so long ago is not asked.
constexpr std::chrono::minutes lag_max{15};

using Columns = std::set<std::string_view>;

// Where sums come from: the table of records, or a rollup.
struct Source {
  std::string table;
  std::string time;  // A column.
  std::string sums;  // "... AS requests, ... AS errors, ... AS bytes".
};

std::string sums_of_records() {
  return fmt::format("count(*) AS requests, count(*) FILTER (status >= 500) AS errors, {} AS bytes",
                     rollup::saturated_sum("bytes"));
}

std::string sums_of_rollup() {
  std::string sums;
  for (const char* name : {"requests", "errors", "bytes"}) {
    sums += fmt::format("{}{} AS {}", sums.empty() ? "" : ", ", rollup::saturated_sum(name), name);
  }
  return sums;
}

bool is_whole_hours(Timestamp time) { return std::chrono::floor<std::chrono::hours>(time) == time; }

// The rollup with the fewest rows that has these columns; nullptr: none does. Those by path and by
// user agent have many.
const rollup::RollupDefinition* rollup_with(const Columns& columns) {
  static const std::vector<std::string> by_size = {"rollup_by_status", "rollup_by_bot",
                                                   "rollup_by_user_agent", "rollup_by_path"};
  for (const std::string& name : by_size) {
    for (const auto& definition : rollup::built_in_rollups()) {
      const auto has = [&](std::string_view column) {
        return std::ranges::find(definition.dimensions, column) != definition.dimensions.end();
      };
      if (definition.name == name && std::ranges::all_of(columns, has)) return &definition;
    }
  }
  return nullptr;
}

// Plans the parts of one question.
class Planner {
 public:
  Planner(const Question& question, LakeTables& tables) : question_(question), tables_(tables) {
    for (const Filter& filter : question.filters) {
      where_ += (where_.empty() ? "" : " AND ") + filter.sql();
      filtered_.insert(filter.field->columns.begin(), filter.field->columns.end());
    }
    if (where_.empty()) where_ = "true";
    if (!question.sites.empty()) {
      where_ += fmt::format(" AND list_contains({}, site)", sql::quote_list(question.sites));
    }
  }

  // Sums by some expressions of some columns.
  Result<Part> sums(const std::string& groups, const std::vector<std::string_view>& columns,
                    const std::string& more_where = "true", bool wants_durations = false) {
    Columns all = filtered_;
    all.insert(columns.begin(), columns.end());
    MR_TRY_ASSIGN(Part part, source_with(all, wants_durations));
    const bool is_rollup = part.table != records_table;
    const std::string durations = wants_durations
                                      ? ", round(avg(duration_us))::BIGINT AS mean_us, "
                                        "round(quantile_cont(duration_us, 0.95))::BIGINT AS p95_us"
                                      : "";
    part.select = fmt::format("SELECT {}{}{}", with_time(groups, is_rollup),
                              is_rollup ? sums_of_rollup() : sums_of_records(), durations);
    part.where = fmt::format("{} AND {}", where_, more_where);
    return part;
  }

  // Rows as they are.
  Part rows(std::string table, std::string select, std::optional<TableFiles> files) const {
    return {.table = std::move(table),
            .select = std::move(select),
            .where = where_,
            .group_by = "",
            .files = std::move(files)};
  }

  // Reads the records from now on, also where a rollup would do.
  void use_records() { uses_rollups_ = false; }

  // At the same version whenever a question asks for it.
  Result<std::optional<TableFiles>> files_of(const std::string& table) {
    const auto known = known_.find(table);
    if (known != known_.end()) return known->second;
    MR_TRY_ASSIGN(auto files, tables_.files(table, question_.record_filter()));
    return known_.emplace(table, std::move(files)).first->second;
  }

 private:
  // "{time}" stands for the table's own column.
  static std::string with_time(std::string groups, bool is_rollup) {
    constexpr std::string_view mark = "{time}";
    for (std::size_t at = groups.find(mark); at != std::string::npos; at = groups.find(mark, at)) {
      groups.replace(at, mark.size(), is_rollup ? "hour" : "\"timestamp\"");
    }
    return groups;
  }

  Result<Part> source_with(const Columns& columns, bool wants_durations) {
    const bool is_by_hours = is_whole_hours(question_.from) && is_whole_hours(question_.to) &&
                             question_.step >= std::chrono::hours(1);
    const bool takes_rollup = uses_rollups_ && is_by_hours && !wants_durations;
    const auto* definition = takes_rollup ? rollup_with(columns) : nullptr;
    Part part{
        .table = records_table, .select = "", .where = "", .group_by = "GROUP BY ALL", .files = {}};
    if (definition != nullptr) {
      MR_TRY_ASSIGN(auto files, files_of(definition->name));
      // One that is not there yet, or of another table, knows nothing; one that is far
      // behind, not enough.
      if (files && files->lag && files->lag->time < lag_max) {
        part.table = definition->name;
        part.files = std::move(files);
        return part;
      }
    }
    MR_TRY_ASSIGN(part.files, files_of(records_table));
    return part;
  }

  const Question& question_;
  LakeTables& tables_;
  bool uses_rollups_ = true;
  std::string where_;
  Columns filtered_;
  std::map<std::string, std::optional<TableFiles>> known_;
};

const char* column_of(Order order) {
  switch (order) {
    case Order::requests: return "requests";
    case Order::errors: return "errors";
    case Order::bytes: return "bytes";
    case Order::duration: return "p95_us";
  }
  return "requests";
}

// By arithmetic: date_trunc() asks a calendar about each time. The offset is a multiple of every
// step and makes times before 1970 positive.
std::string step_sql(std::chrono::seconds step) {
  constexpr std::int64_t offset_us = 1'000'000 * 86'400'000'000;
  return fmt::format("make_timestamptz((epoch_us({{time}}) + {}) // {} * {} - {})", offset_us,
                     step.count() * 1'000'000, step.count() * 1'000'000, offset_us);
}

Result<Plan> plan_timeseries(const Question& question, Planner& planner) {
  std::string groups = step_sql(question.step) + " AS time, ";
  std::vector<std::string_view> columns;
  if (question.by != nullptr) {
    groups += fmt::format("{} AS {}, ", question.by->sql, question.by->name);
    columns = question.by->columns;
  }
  MR_TRY_ASSIGN(Part part, planner.sums(groups, columns));
  Plan plan{.parts = {}, .order = question.by == nullptr ? "ORDER BY 1" : "ORDER BY 1, 2"};
  plan.parts.push_back(std::move(part));
  return plan;
}

Result<Plan> plan_top(const Question& question, Planner& planner) {
  const bool wants_durations = question.order == Order::duration;
  const char* only = wants_durations ? "duration_us IS NOT NULL" : "true";
  MR_TRY_ASSIGN(Part part, planner.sums(fmt::format("{} AS value, ", question.by->sql),
                                        question.by->columns, only, wants_durations));
  Plan plan{.parts = {},
            .order = fmt::format("ORDER BY {} DESC NULLS LAST, value NULLS LAST LIMIT {}",
                                 column_of(question.order), question.limit)};
  plan.parts.push_back(std::move(part));
  return plan;
}

// From two sources: no rollup has both the kind and the status.
Result<Plan> plan_summary_parts(Planner& planner) {
  constexpr int values_max = 500;  // Of each dimension: there may be more sites.
  Plan plan{.parts = {},
            .order = fmt::format("QUALIFY row_number() OVER (PARTITION BY dimension ORDER BY "
                                 "requests DESC, value) <= {} ORDER BY dimension, requests DESC, "
                                 "value",
                                 values_max)};
  const Field* status_class = find_field("status_class");
  MR_TRY_ASSIGN(
      Part of_status,
      planner.sums(fmt::format("CASE grouping(site, _class) WHEN 3 THEN 'all' WHEN 1 THEN 'site' "
                               "ELSE 'status_class' END AS dimension, coalesce(site, _class) AS "
                               "value, "),
                   status_class->columns));
  of_status.columns = fmt::format("*, {} AS _class", status_class->sql);
  of_status.group_by = "GROUP BY GROUPING SETS ((), (site), (_class))";
  plan.parts.push_back(std::move(of_status));
  const Field* kind = find_field("kind");
  MR_TRY_ASSIGN(
      Part of_kind,
      planner.sums(fmt::format("'kind' AS dimension, {} AS value, ", kind->sql), kind->columns));
  plan.parts.push_back(std::move(of_kind));
  return plan;
}

// The kinds are to add up to all: where one part reads records, so does the other.
Result<Plan> plan_summary(Planner& planner) {
  MR_TRY_ASSIGN(Plan plan, plan_summary_parts(planner));
  const auto reads_records = [](const Part& part) { return part.table == records_table; };
  const auto count = std::ranges::count_if(plan.parts, reads_records);
  if (count == 0 || count == std::ssize(plan.parts)) return plan;
  planner.use_records();
  return plan_summary_parts(planner);
}

Result<Plan> plan_crawlers(const Question& question, Planner& planner) {
  MR_TRY_ASSIGN(Part part,
                planner.sums("bot, bot_operator, bot_category, max({time}) AS last_seen, ",
                             {"bot", "bot_operator", "bot_category"}, "bot IS NOT NULL"));
  Plan plan{.parts = {},
            .order = fmt::format("ORDER BY requests DESC, bot LIMIT {}", question.limit)};
  plan.parts.push_back(std::move(part));
  return plan;
}

Result<Plan> plan_errors(const Question& question, Planner& planner) {
  MR_TRY_ASSIGN(auto files, planner.files_of(records_table));
  Plan plan{.parts = {},
            .order = fmt::format("ORDER BY requests DESC, path, status LIMIT {}", question.limit)};
  Part part = planner.rows(
      records_table,
      "SELECT path, status, count(*) AS requests, count(bot) AS crawler_requests, "
      "array_to_string(list_slice(list_sort(list(DISTINCT bot)), 1, 5), ', ') AS crawlers, "
      "min(\"timestamp\") AS first_seen, max(\"timestamp\") AS last_seen",
      std::move(files));
  part.where += " AND status >= 400";
  part.group_by = "GROUP BY path, status";
  plan.parts.push_back(std::move(part));
  return plan;
}

// How many of the first files hold so many records.
std::size_t count_with(const TableFiles& files, std::uint64_t records_min) {
  std::uint64_t records = 0;
  std::size_t count = 0;
  while (count < files.files.size() && records < records_min) records += files.records[count++];
  return count;
}

// Of the newest files alone, more of them where they have too few rows that are asked for, so that
// it costs the same however much is stored: there may be older ones that it does not show.
Result<Plan> plan_recent(const Question& question, Planner& planner, LakeTables& tables) {
  constexpr std::uint64_t records_looked_at[] = {10'000, 100'000, 1'000'000};
  const char* table = question.is_of_rejects ? rejects_table : records_table;
  const auto sites = question.site ? std::vector{*question.site} : question.sites;
  MR_TRY_ASSIGN(auto files, tables.newest_files(table, sites));
  Plan plan{.order =
                fmt::format("ORDER BY received_at DESC{} LIMIT {}",
                            question.is_of_rejects ? "" : ", \"timestamp\" DESC", question.limit)};
  for (const std::uint64_t records : records_looked_at) {
    const std::size_t count = files ? count_with(*files, records) : 0;
    if (plan.file_counts.empty() || count > plan.file_counts.back()) {
      plan.file_counts.push_back(count);
    }
  }
  Part part = planner.rows(
      table,
      question.is_of_rejects
          ? "SELECT received_at, site, source, reason, field, payload"
          : "SELECT received_at, \"timestamp\", site, method, path, status, bytes, duration_us, "
            "user_agent, bot, referrer, country",
      std::move(files));
  plan.parts.push_back(std::move(part));
  return plan;
}

}  // namespace

std::string Plan::versions() const {
  std::string text;
  for (const Part& part : parts) {
    text += fmt::format("{}:{}:{};", part.table, part.files ? part.files->table_id : "",
                        part.files ? part.files->version.value() : -1);
    if (part.files && part.files->lag) text += std::to_string(part.files->lag->versions);
  }
  return text;
}

Result<Plan> plan(const Question& question, LakeTables& tables) {
  Planner planner(question, tables);
  switch (question.topic) {
    case Topic::timeseries: return plan_timeseries(question, planner);
    case Topic::top: return plan_top(question, planner);
    case Topic::summary: return plan_summary(planner);
    case Topic::crawlers: return plan_crawlers(question, planner);
    case Topic::errors: return plan_errors(question, planner);
    case Topic::recent: return plan_recent(question, planner, tables);
  }
  return fail(Errc::invalid_argument, "no such question");
}

namespace {

// Keeps a small result, to give it on.
class KeptRows final : public sql::RowSink {
 public:
  void columns(const std::vector<sql::ResultColumn>& columns) override { columns_ = columns; }
  bool row(const sql::ResultRow& row) override {
    rows_.push_back(row);
    return true;
  }

  std::size_t count() const { return rows_.size(); }

  void give_to(sql::RowSink& sink) const {
    sink.columns(columns_);
    for (const auto& row : rows_) {
      if (!sink.row(row)) return;
    }
  }

 private:
  std::vector<sql::ResultColumn> columns_;
  std::vector<sql::ResultRow> rows_;
};

Result<void> run(const Plan& plan, std::size_t files_max, const Question& question,
                 store::ObjectStore& lake, sql::Engine& engine, sql::RowSink& sink) {
  std::vector<std::unique_ptr<store::LocalFiles>> in_use;
  std::string statement;
  // The most recent ones are of any time.
  query::RecordFilter filter = question.record_filter();
  if (question.topic == Topic::recent) filter.from = filter.to = std::nullopt;
  for (const Part& part : plan.parts) {
    // Nothing was received yet: an answer without rows.
    if (!part.files) return {};
    std::vector<const delta::AddFile*> files;
    for (const delta::AddFile& file : part.files->files) {
      if (files.size() < files_max) files.push_back(&file);
    }
    MR_TRY_ASSIGN(
        auto records,
        query::select_records(lake, {part.files->root, part.files->version, part.files->schema},
                              files, filter, [&] { return engine.is_interrupted(); }));
    in_use.push_back(std::move(records.files));
    statement += fmt::format("{}{} FROM (SELECT {} FROM ({})) WHERE {} {}",
                             statement.empty() ? "" : " UNION ALL ", part.select, part.columns,
                             records.sql, part.where, part.group_by);
  }
  return engine.query(fmt::format("SELECT * FROM ({}) {}", statement, plan.order), sink);
}

}  // namespace

Result<void> answer(const Plan& plan, const Question& question, store::ObjectStore& lake,
                    sql::Engine& engine, sql::RowSink& sink) {
  if (plan.file_counts.empty()) {
    return run(plan, std::numeric_limits<std::size_t>::max(), question, lake, engine, sink);
  }
  for (const std::size_t files_max : plan.file_counts) {
    KeptRows rows;
    MR_TRY(run(plan, files_max, question, lake, engine, rows));
    const bool is_enough = std::cmp_greater_equal(rows.count(), question.limit);
    if (!is_enough && files_max != plan.file_counts.back()) continue;
    rows.give_to(sink);
    break;
  }
  return {};
}

}  // namespace millrace::analytics
