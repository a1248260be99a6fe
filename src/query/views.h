#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/stop_check.h"
#include "columnar/table_schema.h"
#include "delta/delta_table.h"
#include "query/record_filter.h"
#include "sql/engine.h"
#include "store/object_store.h"

namespace millrace::query {

// A table as of one version.
struct TableVersion {
  std::string root;
  delta::Version version;
  columnar::TableSchema schema;
};

// The records of some files of a table, as a SELECT with all of its columns.
struct RecordSelect {
  std::string sql;
  // What it reads, on this machine; null: nothing. Must live until the statement is done.
  std::unique_ptr<store::LocalFiles> files;
};

// Errors: those of ObjectStore::local_files().
Result<RecordSelect> select_records(store::ObjectStore& lake, const TableVersion& table,
                                    const std::vector<const delta::AddFile*>& files,
                                    const RecordFilter& filter, const StopCheck& stop);

// A table of the lake that is no view, and why.
struct UnreadableTable {
  std::string name;
  Error error;
};

struct Views {
  // What the views read, on this machine. They must live until the last statement is done.
  std::vector<std::unique_ptr<store::LocalFiles>> files;
  std::vector<UnreadableTable> unreadable;
};

// Makes every Delta table of `lake` a view of its name in `engine`, as of now, with the records
// that `filter` wants, for `statement` to be run next. Cost follows what that names and wants: a
// table that its text does not hold has its columns and no rows, and a file that cannot hold
// such records is not opened, nor brought here.
// Tables that cannot be read are left out, by the errors of DeltaTable::open() and of the engine,
// or not_found where a file is gone.
// Errors: those of listing the lake; exhausted where it is remote and more is needed than the cache
// holds; unavailable after Engine::interrupt().
Result<Views> create_views(sql::Engine& engine, store::ObjectStore& lake, const Clock& clock,
                           std::string_view statement, const RecordFilter& filter = {});

}  // namespace millrace::query
