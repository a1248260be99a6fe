#include "sql/engine.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <duckdb.h>
#include <fmt/format.h>

#include "sql/literal.h"
#include "sql/value_reader.h"

namespace millrace::sql {
namespace {

Errc code_of(duckdb_error_type type) {
  switch (type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY: return Errc::exhausted;
    case DUCKDB_ERROR_IO:
    case DUCKDB_ERROR_INTERRUPT:
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL: return Errc::unavailable;
    default: return Errc::invalid_argument;
  }
}

class OwnedResult {
 public:
  OwnedResult() = default;
  ~OwnedResult() { duckdb_destroy_result(&result_); }
  OwnedResult(const OwnedResult&) = delete;
  OwnedResult& operator=(const OwnedResult&) = delete;
  duckdb_result& get() { return result_; }

 private:
  duckdb_result result_{};
};

class OwnedChunk {
 public:
  explicit OwnedChunk(duckdb_data_chunk chunk) : chunk_(chunk) {}
  ~OwnedChunk() { duckdb_destroy_data_chunk(&chunk_); }
  OwnedChunk(const OwnedChunk&) = delete;
  OwnedChunk& operator=(const OwnedChunk&) = delete;
  duckdb_data_chunk get() const { return chunk_; }

 private:
  duckdb_data_chunk chunk_;
};

// The types of a result's columns.
class ColumnTypes {
 public:
  explicit ColumnTypes(duckdb_result& result) {
    const idx_t count = duckdb_column_count(&result);
    for (idx_t i = 0; i < count; ++i) types_.push_back(duckdb_column_logical_type(&result, i));
  }
  ~ColumnTypes() {
    for (duckdb_logical_type& type : types_) duckdb_destroy_logical_type(&type);
  }
  ColumnTypes(const ColumnTypes&) = delete;
  ColumnTypes& operator=(const ColumnTypes&) = delete;

  const std::vector<duckdb_logical_type>& all() const { return types_; }

 private:
  std::vector<duckdb_logical_type> types_;
};

Result<void> run(duckdb_connection connection, const std::string& sql, OwnedResult& result) {
  // The C API takes the text up to its first NUL, which would run half of a statement.
  if (sql.find('\0') != std::string::npos) {
    return fail(Errc::invalid_argument, "a statement cannot hold a NUL character");
  }
  if (duckdb_query(connection, sql.c_str(), &result.get()) == DuckDBSuccess) return {};
  const char* message = duckdb_result_error(&result.get());
  return fail(code_of(duckdb_result_error_type(&result.get())),
              message == nullptr ? "the SQL engine failed without a reason" : message);
}

Result<void> hand_over(duckdb_result& result, const RowSink& sink) {
  const ColumnTypes types(result);
  std::vector<ResultColumn> columns;
  for (const duckdb_logical_type type : types.all()) {
    columns.push_back({duckdb_column_name(&result, columns.size()), type_name(type)});
  }
  MR_TRY(sink.on_columns(columns));
  while (true) {
    const OwnedChunk chunk(duckdb_fetch_chunk(result));
    if (chunk.get() == nullptr) return {};
    const idx_t rows = duckdb_data_chunk_get_size(chunk.get());
    for (idx_t i = 0; i < rows; ++i) {
      Row row;
      for (const duckdb_logical_type type : types.all()) {
        const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.get(), row.size());
        MR_TRY_ASSIGN(Value value, read_value(vector, type, i));
        row.push_back(std::move(value));
      }
      MR_TRY(sink.on_row(std::move(row)));
    }
  }
}

bool holds_word(const std::string& sql, std::string_view word) {
  return std::search(sql.begin(), sql.end(), word.begin(), word.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         }) != sql.end();
}

class OwnedConfig {
 public:
  OwnedConfig() { duckdb_create_config(&config_); }
  ~OwnedConfig() { duckdb_destroy_config(&config_); }
  OwnedConfig(const OwnedConfig&) = delete;
  OwnedConfig& operator=(const OwnedConfig&) = delete;
  duckdb_config get() const { return config_; }

  Result<void> set(const char* name, const std::string& value) {
    if (duckdb_set_config(config_, name, value.c_str()) == DuckDBSuccess) return {};
    return fail(Errc::invalid_argument, fmt::format("SQL engine: {} = '{}' is no valid setting",
                                                    name, value));
  }

 private:
  duckdb_config config_ = nullptr;
};

}  // namespace

struct Engine::Handles {
  duckdb_database database = nullptr;
  duckdb_connection connection = nullptr;

  Handles() = default;
  ~Handles() {
    duckdb_disconnect(&connection);
    duckdb_close(&database);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
};

Engine::Engine(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  OwnedConfig config;
  MR_TRY(config.set("memory_limit", fmt::format("{}B", options.memory_bytes_max)));
  MR_TRY(config.set("threads", std::to_string(options.threads)));
  MR_TRY(config.set("temp_directory", options.temporary_directory));
  MR_TRY(config.set("autoinstall_known_extensions", "false"));
  MR_TRY(config.set("autoload_known_extensions", "false"));
  auto handles = std::make_unique<Handles>();
  char* message = nullptr;
  if (duckdb_open_ext(":memory:", &handles->database, config.get(), &message) != DuckDBSuccess) {
    const std::string text = message == nullptr ? "no reason given" : message;
    duckdb_free(message);
    return fail(Errc::unavailable, fmt::format("opening the SQL engine: {}", text));
  }
  if (duckdb_connect(handles->database, &handles->connection) != DuckDBSuccess) {
    return fail(Errc::unavailable, "opening the SQL engine: it took no connection");
  }
  auto engine = std::unique_ptr<Engine>(new Engine(std::move(handles)));
  MR_TRY(engine->execute("SET TimeZone = 'UTC'"));
  return engine;
}

Result<void> Engine::execute(const std::string& sql) {
  if (is_locked_down_) MR_TRY(check_allowed(sql));
  OwnedResult result;
  return run(handles_->connection, sql, result);
}

Result<QueryResult> Engine::query(const std::string& sql) {
  QueryResult result;
  MR_TRY(stream(sql, {.on_columns = [&](const std::vector<ResultColumn>& columns) -> Result<void> {
                        result.columns = columns;
                        return {};
                      },
                      .on_row = [&](Row row) -> Result<void> {
                        result.rows.push_back(std::move(row));
                        return {};
                      }}));
  return result;
}

Result<void> Engine::stream(const std::string& sql, const RowSink& sink) {
  if (is_locked_down_) MR_TRY(check_allowed(sql));
  OwnedResult result;
  MR_TRY(run(handles_->connection, sql, result));
  return hand_over(result.get(), sink);
}

Result<void> Engine::lock_down(const std::vector<std::string>& allowed_directories) {
  MR_TRY(execute("SET allowed_directories = " + quoted_list(allowed_directories)));
  MR_TRY(execute("SET enable_external_access = false"));
  MR_TRY(execute("SET lock_configuration = true"));
  is_locked_down_ = true;
  return {};
}

void Engine::interrupt() { duckdb_interrupt(handles_->connection); }

// The allowed directories may be read and, as far as the engine is concerned, also written: so
// nothing runs that could write.
Result<void> Engine::check_allowed(const std::string& sql) const {
  duckdb_extracted_statements statements = nullptr;
  const idx_t count = duckdb_extract_statements(handles_->connection, sql.c_str(), &statements);
  Result<void> verdict;
  if (count == 0) {
    const char* message = duckdb_extract_statements_error(statements);
    verdict = fail(Errc::invalid_argument, message == nullptr ? "no statement" : message);
  }
  for (idx_t i = 0; i < count && verdict; ++i) {
    duckdb_prepared_statement prepared = nullptr;
    const auto state = duckdb_prepare_extracted_statement(handles_->connection, statements, i,
                                                          &prepared);
    const auto type = duckdb_prepared_statement_type(prepared);
    if (state != DuckDBSuccess) {
      const char* message = duckdb_prepare_error(prepared);
      verdict = fail(Errc::invalid_argument, message == nullptr ? "no statement" : message);
    } else if (type == DUCKDB_STATEMENT_TYPE_EXPLAIN) {
      // EXPLAIN ANALYZE runs what it explains, and that may write.
      if (holds_word(sql, "analyze") || holds_word(sql, "analyse")) {
        verdict = fail(Errc::invalid_argument, "EXPLAIN ANALYZE is not allowed here");
      }
    } else if (type != DUCKDB_STATEMENT_TYPE_SELECT) {
      verdict = fail(Errc::invalid_argument,
                     "only SELECT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN are allowed here");
    }
    duckdb_destroy_prepare(&prepared);
  }
  duckdb_destroy_extracted(&statements);
  return verdict;
}

}  // namespace millrace::sql
