#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "columnar/table_schema.h"
#include "delta/delta_table.h"

namespace millrace::delta {

struct Protocol {
  int reader_version = 1;
  int writer_version = 2;
};

struct Metadata {
  std::string table_id;
  std::string name;  // Empty: none. So is the next.
  std::string description;
  columnar::TableSchema schema;
  // The schema as it stood in the log, with all that other engines keep in it, for checkpoints.
  // Empty: as encode_schema() has it.
  std::string schema_json;
  std::map<std::string, std::string> configuration;
  std::int64_t created_ms = 0;
};

// One numbered JSON file of the log, as far as Millrace understands it.
struct LogEntry {
  std::string operation;
  std::string commit_id;  // Our own random id, by which a writer knows its commit again.
  std::optional<Protocol> protocol;
  std::optional<Metadata> metadata;
  std::vector<AddFile> adds;
  std::vector<RemoveFile> removes;
  std::map<std::string, std::int64_t> progress;  // The `txn` actions.
};

// One action per line, commitInfo first (PROTOCOL.md, "Actions").
std::string encode_log_entry(const LogEntry& entry, Timestamp now);

// Reads what any writer of the protocol may have written; actions that do not concern us are passed
// over. `name` is for messages.
// Errors: corrupt (does not parse), invalid_argument (it uses a protocol version or a feature that
// this code does not know: to go on would read the table wrongly).
Result<LogEntry> decode_log_entry(std::string_view text, std::string_view name);

// Errors: invalid_argument, saying which version is too new.
Result<void> check_protocol(const Protocol& protocol, std::string_view name);

}  // namespace millrace::delta
