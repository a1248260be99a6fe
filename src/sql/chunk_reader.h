#pragma once

#include <duckdb.h>

#include <cstddef>
#include <vector>

#include "sql/engine.h"

// For this folder only.
namespace millrace::sql {

// Turns the rows of one of DuckDB's chunks into text. Borrows the chunk.
class ChunkReader {
 public:
  explicit ChunkReader(duckdb_data_chunk chunk);

  std::size_t row_count() const { return row_count_; }
  void read(std::size_t row, ResultRow& out) const;

  static ValueKind kind_of(duckdb_type type);

  // Whether a query's result has columns of types that read() does not know.
  static bool needs_text(duckdb_prepared_statement statement);

  // How DuckDB makes them text: a pattern with the column's name for {}.
  struct Conversion {
    const char* sql;
    bool is_json;
  };
  static Conversion conversion_of(duckdb_type type);

 private:
  struct Column {
    duckdb_type type;
    void* data;
    uint64_t* validity;
  };

  std::vector<Column> columns_;
  std::size_t row_count_;
};

}  // namespace millrace::sql
