#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

namespace millrace::columnar {

// A Delta checkpoint: the state of a table at one version, an action a row (PROTOCOL.md,
// "Checkpoints", classic V1). Texts are as they stand in the log: paths URI-encoded, schema as
// JSON. Files are written and read one by one: a table may have many.

struct CheckpointHeader {
  int reader_version = 1;
  int writer_version = 2;
  std::string table_id;
  std::string name;  // Empty: none. So is the next.
  std::string description;
  std::string schema_json;
  std::vector<std::string> partition_columns;
  std::map<std::string, std::string> configuration;
  std::int64_t created_ms = 0;
  std::map<std::string, std::int64_t> transactions;
};

struct CheckpointFile {
  std::string path;
  std::map<std::string, std::optional<std::string>> partition_values;
  std::int64_t size_bytes = 0;
  std::int64_t time_ms = 0;  // Added: its modification; removed: its deletion.
  std::string stats_json;    // Of added files; empty: none.
};

// Writes a checkpoint as Parquet, in memory that does not grow with it. One thread. After an error
// only destruction is left.
class CheckpointWriter {
 public:
  // `object` must outlive it. Errors: those of `object`; exhausted (memory).
  static Result<CheckpointWriter> create(const CheckpointHeader& header,
                                         store::ObjectWriter& object);
  CheckpointWriter(CheckpointWriter&&) noexcept;
  ~CheckpointWriter();

  // Errors: as create().
  Result<void> add(const CheckpointFile& file);
  Result<void> remove(const CheckpointFile& file);

  // Finishes `object` too. Errors: as create().
  Result<void> finish();

 private:
  class Impl;
  explicit CheckpointWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Takes the files of a checkpoint; an error ends the reading.
class CheckpointSink {
 public:
  virtual ~CheckpointSink() = default;
  virtual Result<void> added(CheckpointFile file) = 0;
  virtual Result<void> removed(CheckpointFile file) = 0;
};

// Reads a checkpoint of any writer of the protocol, or one part of it; columns that do not concern
// us are passed over. What it has of the header is put into `header`, over what other parts had.
// Errors: corrupt, and those of `sink`.
Result<void> read_checkpoint_file(std::string bytes, CheckpointHeader& header,
                                  CheckpointSink& sink);

}  // namespace millrace::columnar
