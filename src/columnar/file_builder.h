#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/time_text.h"
#include "columnar/table_schema.h"
#include "store/object_store.h"

namespace millrace::columnar {

struct FileBuilderOptions {
  // A required timestamp column by which the file's rows are sorted, oldest first.
  std::string sort_column;
  std::size_t row_group_rows_max = 128 * 1024;
  int zstd_level = 3;
};

// What a finished data file is, for the table's log.
struct FileSummary {
  std::int64_t rows = 0;
  std::int64_t size_bytes = 0;
  // Row count, null counts and bounds of each column as the Delta protocol's JSON text. A bound is
  // never tighter than the values: strings are cut to 32 characters, times rounded outwards to the
  // millisecond; a column that allows no such bound has none. Maps have a null count only.
  std::string stats_json;
};

// Collects the rows of one data file in memory, column by column, and writes them as Parquet.
//
// A row is made by one append_*() at most per column, in any order, and end_row(). Columns are
// numbered as in schema.file_columns(); an append of another type than the column's is a bug.
// Movable; one thread.
class FileBuilder {
 public:
  explicit FileBuilder(const TableSchema& schema, FileBuilderOptions options);
  FileBuilder(FileBuilder&&) noexcept;
  FileBuilder& operator=(FileBuilder&&) noexcept;
  ~FileBuilder();

  // `value` must be valid UTF-8; it is copied.
  void append_string(std::size_t column, std::string_view value);
  void append_int32(std::size_t column, std::int32_t value);
  void append_int64(std::size_t column, std::int64_t value);
  void append_timestamp(std::size_t column, Timestamp value);
  void append_date(std::size_t column, Day value);
  // `entries`: valid UTF-8, names unique.
  void append_map(std::size_t column,
                  std::span<const std::pair<std::string_view, std::string_view>> entries);

  // Completes the row. Columns without a value in it become null, which required ones must not.
  void end_row();

  std::size_t row_count() const;

  // What the rows take in memory, about.
  std::size_t memory_bytes() const;

  // Writes the completed rows to `object` and finishes it. The rows stay here: after an error,
  // finish again onto a new object.
  // Errors: those of `object`, and exhausted where memory does not suffice to encode the rows.
  Result<FileSummary> finish(store::ObjectWriter& object) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::columnar
