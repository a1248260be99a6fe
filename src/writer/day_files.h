#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/time_text.h"
#include "columnar/file_builder.h"
#include "columnar/table_schema.h"
#include "delta/delta_table.h"
#include "store/object_store.h"

namespace millrace::writer {

// The data files that one flush adds to one table partitioned by `date`: first rows in memory, one
// builder a day, then durable objects that no commit names yet. One thread.
class DayFiles {
 public:
  // `store`, `clock` and `schema` must outlive this.
  DayFiles(store::ObjectStore& store, const Clock& clock, std::string root,
           const columnar::TableSchema& schema, columnar::FileBuilderOptions options);

  // Where the rows of `day` go. Borrowed until the next call of another function.
  columnar::FileBuilder& builder(Day day);

  std::size_t days() const { return builders_.size(); }
  std::size_t memory_bytes() const;

  // Writes every builder's rows as `<root>/date=YYYY-MM-DD/<uuid>.parquet`. After an error calling
  // again goes on with the builders that are left; no row is in two of files().
  // Errors: exhausted, unavailable.
  Result<void> finish();

  // The finished files, for a commit.
  const std::vector<delta::AddFile>& files() const { return files_; }

  // Forgets rows and files. The files are the table's now, or perhaps.
  void release();

  // Forgets rows and files, and removes the files, which no commit names, as far as the store lets
  // it; what is left is for vacuum.
  void discard();

 private:
  store::ObjectStore* store_;
  const Clock* clock_;
  std::string root_;
  const columnar::TableSchema* schema_;
  columnar::FileBuilderOptions options_;
  std::map<Day, columnar::FileBuilder> builders_;
  std::vector<delta::AddFile> files_;
};

}  // namespace millrace::writer
