#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::sql {

struct EngineOptions {
  std::uint64_t memory_bytes_max = 1UL << 30;
  int threads = 2;
  // Where sorts and groupings go that memory does not hold; created when needed. Each engine needs
  // one of its own: the files in it have fixed names. Empty: nowhere.
  std::string temporary_directory{};
};

// How a column's values are to be taken. All of them come as text.
enum class ValueKind : std::uint8_t {
  text,
  number,   // By JSON's grammar, but for "nan", "inf" and "-inf".
  boolean,  // "true", "false".
  time,     // RFC 3339, or a date "2026-11-24"; "infinity", "-infinity".
  json,     // A list, map or struct.
};

struct ResultColumn {
  std::string name;
  ValueKind kind = ValueKind::text;
};

using ResultRow = std::vector<std::optional<std::string>>;  // nullopt: NULL.

// Receives a result: the columns once, then its rows.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void columns(const std::vector<ResultColumn>& columns) = 0;
  // False: no more rows are wanted.
  virtual bool row(const ResultRow& row) = 0;
};

// One DuckDB, in memory, in UTC. Loads no extension and reads no network. Has a function of its
// own, hour_of(TIMESTAMPTZ): the hour in UTC, as date_trunc() says it, in a quarter of the time.
// One thread at a time, but for interrupt().
class Engine {
 public:
  // Errors: invalid_argument, unavailable.
  static Result<std::unique_ptr<Engine>> open(const EngineOptions& options);

  virtual ~Engine() = default;

  // Runs one statement or several, without a result.
  // Errors: invalid_argument, with DuckDB's message; exhausted (memory_bytes_max); unavailable (a
  // file cannot be read, or after interrupt()).
  virtual Result<void> execute(const std::string& sql) = 0;

  // Runs one statement; rows reach `sink` as they are made. It must not use the engine.
  // Errors: as execute(); after lock_down() also invalid_argument for all but queries.
  virtual Result<void> query(const std::string& sql, RowSink& sink) = 0;

  // All rows of a small result. Errors: as execute().
  Result<std::vector<ResultRow>> rows(const std::string& sql);

  // From now on SQL reads files below `directories` only and cannot undo this. Nothing runs any
  // more but query() of one SELECT or its like: DuckDB itself would let COPY and ATTACH write
  // there.
  virtual Result<void> lock_down(const std::vector<std::string>& directories) = 0;

  // Ends the statement under way with an error; all that come after it fail likewise. From any
  // thread.
  virtual void interrupt() = 0;
  virtual bool is_interrupted() const = 0;

  // False: nothing that comes will succeed, after interrupt() or after an error of DuckDB's own.
  virtual bool is_usable() const = 0;
};

// "a""b" and 'a''b': safe to put into a statement.
std::string quote_identifier(std::string_view name);
std::string quote_text(std::string_view text);

// ['a', 'b']
std::string quote_list(const std::vector<std::string>& texts);

}  // namespace millrace::sql
