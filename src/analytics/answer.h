#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analytics/lake_tables.h"
#include "analytics/question.h"
#include "base/result.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::analytics {

// One SELECT over one table, without its FROM.
struct Part {
  std::string table;
  std::string select;               // "SELECT ...".
  std::string where;                // A condition.
  std::string group_by;             // Empty: no groups.
  std::string columns = "*";        // Of the table, and what follows from them.
  std::optional<TableFiles> files;  // nullopt: there is no such table yet.
};

// How a question is going to be answered: from which tables, at which versions. Made without
// reading a record.
struct Plan {
  std::vector<Part> parts;
  std::string order;  // "ORDER BY ... LIMIT ..." of all of them together.
  // Of a single part: how many of its first files to look at, until as many rows as are asked for
  // are found. Empty: all of them.
  std::vector<std::size_t> file_counts;

  // What the answer depends on, besides the question.
  std::string versions() const;
};

// Rollups where they can answer, else access_logs itself. Errors: those of LakeTables::files().
Result<Plan> plan(const Question& question, LakeTables& tables);

// Runs a plan. Errors: those of ObjectStore::local_files() and Engine::query().
Result<void> answer(const Plan& plan, const Question& question, store::ObjectStore& lake,
                    sql::Engine& engine, sql::RowSink& sink);

}  // namespace millrace::analytics
