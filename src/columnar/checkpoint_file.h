#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

namespace millrace::columnar {

// What a Delta checkpoint holds: the state of a table at one version, an action a row (PROTOCOL.md,
// "Checkpoints", classic V1). Texts are as they stand in the log: paths URI-encoded, schema as
// JSON.
struct CheckpointRows {
  struct File {
    std::string path;
    std::map<std::string, std::optional<std::string>> partition_values;
    std::int64_t size_bytes = 0;
    std::int64_t time_ms = 0;  // Added: its modification; removed: its deletion.
    std::string stats_json;    // Of added files; empty: none.
  };

  int reader_version = 1;
  int writer_version = 2;
  std::string table_id;
  std::string schema_json;
  std::vector<std::string> partition_columns;
  std::map<std::string, std::string> configuration;
  std::int64_t created_ms = 0;
  std::map<std::string, std::int64_t> transactions;
  std::vector<File> adds;
  std::vector<File> removes;
};

// Writes `rows` as Parquet and finishes `object`. Errors: those of `object`; exhausted (memory).
Result<void> write_checkpoint_file(const CheckpointRows& rows, store::ObjectWriter& object);

// Reads a checkpoint of any writer of the protocol; columns that do not concern us are passed over.
// Errors: corrupt.
Result<CheckpointRows> read_checkpoint_file(std::string bytes);

}  // namespace millrace::columnar
