#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/testing/manual_clock.h"
#include "delta/delta_table.h"
#include "store/testing/memory_store.h"

namespace millrace::delta {

inline columnar::TableSchema test_schema() {
  using columnar::ColumnType;
  return {.columns = {{"time", ColumnType::timestamp, true},
                      {"name", ColumnType::string, false},
                      {"tags", ColumnType::string_map, false},
                      {"date", ColumnType::date, false}},
          .partition_columns = {"date"}};
}

inline AddFile file_of(std::string path) {
  return {.path = std::move(path),
          .partition_values = {{"date", "2026-01-02"}},
          .size_bytes = 7,
          .modified = {},
          .data_change = true,
          .stats_json = R"({"numRecords":1})"};
}

// A commit that moves `source` from `start` to `end` with one file.
inline Commit commit_of(std::string source, std::optional<std::int64_t> start, std::int64_t end,
                        std::string path) {
  return {.operation = "WRITE",
          .adds = {file_of(std::move(path))},
          .removes = {},
          .progress = {{std::move(source), start, end}}};
}

inline std::vector<std::string> paths_of(const DeltaTable& table) {
  std::vector<std::string> paths;
  for (const auto& [path, file] : table.snapshot().files) paths.push_back(path);
  return paths;
}

}  // namespace millrace::delta
