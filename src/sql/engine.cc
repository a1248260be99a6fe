#include "sql/engine.h"

#include <duckdb.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <utility>

#include "sql/chunk_reader.h"
#include "sql/read_only.h"

namespace millrace::sql {

namespace {

// Owns what a duckdb_*_destroy function frees.
template <typename Handle, auto destroy>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { destroy(&handle_); }
  Handle* out() { return &handle_; }
  Handle& get() { return handle_; }

 private:
  Handle handle_{};
};

using OwnedResult = Owned<duckdb_result, duckdb_destroy_result>;
using OwnedStatement = Owned<duckdb_prepared_statement, duckdb_destroy_prepare>;
using OwnedConfig = Owned<duckdb_config, duckdb_destroy_config>;
using OwnedChunk = Owned<duckdb_data_chunk, duckdb_destroy_data_chunk>;

// The hour of a TIMESTAMPTZ in UTC by arithmetic: date_trunc('hour', t) asks a calendar about each
// time. The top 20 paths per hour of 5 million records take 0.3 s instead of 1.1. `//` rounds
// towards zero: times before 1970 are made positive first, by a multiple of an hour.
constexpr char hour_of_macro[] =
    "CREATE MACRO hour_of(t) AS make_timestamptz((epoch_us(t) + 72000000000000000) // 3600000000 * "
    "3600000000 - 72000000000000000)";

// DuckDB takes no statement any more.
bool is_fatal(std::string_view text) {
  return text.starts_with("FATAL Error") || text.starts_with("INTERNAL Error");
}

tl::unexpected<Error> failure_of(std::string_view text) {
  text = text.substr(0, text.find("\n\nStack Trace:"));
  Errc code = Errc::invalid_argument;
  if (text.starts_with("Out of Memory Error")) code = Errc::exhausted;
  // Files and interrupts: the statement itself may be right.
  if (text.starts_with("IO Error") || text.starts_with("INTERRUPT Error") || is_fatal(text)) {
    code = Errc::unavailable;
  }
  return fail(code, std::string(text));
}

class RowCollector final : public RowSink {
 public:
  void columns(const std::vector<ResultColumn>&) override {}
  bool row(const ResultRow& row) override {
    rows.push_back(row);
    return true;
  }
  std::vector<ResultRow> rows;
};

class DuckEngine final : public Engine {
 public:
  DuckEngine() = default;
  ~DuckEngine() override {
    if (connection_ != nullptr) duckdb_disconnect(&connection_);
    if (database_ != nullptr) duckdb_close(&database_);
  }

  Result<void> open(const EngineOptions& options) {
    OwnedConfig config;
    if (duckdb_create_config(config.out()) != DuckDBSuccess) {
      return fail(Errc::unavailable, "DuckDB gives no configuration");
    }
    const auto set = [&config](const char* name, const std::string& value) {
      return duckdb_set_config(config.get(), name, value.c_str()) == DuckDBSuccess;
    };
    const bool is_set = set("autoinstall_known_extensions", "false") &&
                        set("autoload_known_extensions", "false") &&
                        set("memory_limit", fmt::format("{}B", options.memory_bytes_max)) &&
                        set("threads", std::to_string(options.threads)) &&
                        // Files are read once, and the kernel has them too: under load, what DuckDB
                        // kept of them grew up to the limit.
                        set("enable_external_file_cache", "false") &&
                        // Its own default would be a folder in the working directory.
                        set("temp_directory", options.temporary_directory);
    if (!is_set) return fail(Errc::invalid_argument, "DuckDB does not take its configuration");
    char* message = nullptr;
    if (duckdb_open_ext(nullptr, &database_, config.get(), &message) != DuckDBSuccess) {
      const std::string reason = message == nullptr ? "no reason given" : message;
      duckdb_free(message);
      return fail(Errc::unavailable, fmt::format("opening DuckDB: {}", reason));
    }
    if (duckdb_connect(database_, &connection_) != DuckDBSuccess) {
      return fail(Errc::unavailable, "connecting to DuckDB failed");
    }
    MR_TRY(execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true"));
    return execute(hour_of_macro);
  }

  Result<void> execute(const std::string& sql) override {
    if (is_locked_) return fail(Errc::invalid_argument, "Permission Error: only queries may run");
    MR_TRY(check_goes_on());
    OwnedResult result;
    if (duckdb_query(connection_, sql.c_str(), result.out()) == DuckDBSuccess) return {};
    return failed(duckdb_result_error(result.out()));
  }

  Result<void> query(const std::string& sql, RowSink& sink) override {
    MR_TRY(check_goes_on());
    if (is_locked_) MR_TRY(check(sql));
    return run(sql, sink);
  }

  Result<void> lock_down(const std::vector<std::string>& directories) override {
    MR_TRY(
        execute(fmt::format("SET allowed_directories = {}; SET enable_external_access = false; "
                            "SET lock_configuration = true",
                            quote_list(directories))));
    is_locked_ = true;
    return {};
  }

  void interrupt() override {
    is_interrupted_ = true;
    duckdb_interrupt(connection_);
  }

  bool is_interrupted() const override { return is_interrupted_; }

  bool is_usable() const override { return !is_interrupted_ && !is_broken_; }

 private:
  tl::unexpected<Error> failed(const char* message) {
    const std::string_view text = message == nullptr ? "the statement failed" : message;
    if (is_fatal(text)) is_broken_ = true;
    return failure_of(text);
  }

  Result<void> check_goes_on() const {
    if (is_interrupted_) return fail(Errc::unavailable, "INTERRUPT Error: Interrupted!");
    return {};
  }

  // Before anything of it is bound: DuckDB evaluates arguments then.
  Result<void> check(const std::string& sql) {
    RowCollector collector;
    MR_TRY(run(fmt::format("SELECT json_serialize_sql({})", quote_text(explained_statement(sql))),
               collector));
    return check_reads_only(collector.rows.at(0).at(0).value_or(""));
  }

  Result<void> run(const std::string& sql, RowSink& sink) {
    OwnedStatement statement;
    if (duckdb_prepare(connection_, sql.c_str(), statement.out()) != DuckDBSuccess) {
      return failed(duckdb_prepare_error(statement.get()));
    }
    if (ChunkReader::needs_text(statement.get())) return query_as_text(sql, statement.get(), sink);
    return stream(statement.get(), {}, sink);
  }

  // Values that are lists, maps, decimals and the like are made text by DuckDB itself.
  Result<void> query_as_text(const std::string& sql, duckdb_prepared_statement first,
                             RowSink& sink) {
    std::string list;
    std::string names;
    std::vector<ResultColumn> columns;
    for (idx_t column = 0; column < duckdb_prepared_statement_column_count(first); ++column) {
      const std::string name = fmt::format("c{}", column);
      const duckdb_type type = duckdb_prepared_statement_column_type(first, column);
      const auto conversion = ChunkReader::conversion_of(type);
      if (column > 0) {
        list += ", ";
        names += ", ";
      }
      names += name;
      list += fmt::format(fmt::runtime(conversion.sql), name);
      columns.push_back({column_name(first, column),
                         conversion.is_json ? ValueKind::json : ChunkReader::kind_of(type)});
    }
    const std::string inner = nestable(sql);
    const std::string outer =
        fmt::format("SELECT {} FROM (\n{}\n) AS result({})", list, inner, names);
    OwnedStatement statement;
    if (duckdb_prepare(connection_, outer.c_str(), statement.out()) != DuckDBSuccess) {
      return failed(duckdb_prepare_error(statement.get()));
    }
    return stream(statement.get(), std::move(columns), sink);
  }

  // The statement without its end, so that another can hold it.
  std::string nestable(const std::string& sql) {
    std::string inner = sql;
    while (!inner.empty() &&
           (inner.back() == ';' || std::isspace(static_cast<unsigned char>(inner.back())))) {
      inner.pop_back();
    }
    if (inner.find(';') == std::string::npos) return inner;
    // A comment may follow the end: only DuckDB knows whether that is one.
    RowCollector collector;
    const auto written =
        run(fmt::format("SELECT json_deserialize_sql(json_serialize_sql({}))", quote_text(sql)),
            collector);
    return written && collector.rows.at(0).at(0) ? *collector.rows[0][0] : inner;
  }

  static std::string column_name(duckdb_prepared_statement statement, idx_t column) {
    const char* name = duckdb_prepared_statement_column_name(statement, column);
    std::string text = name == nullptr ? "" : name;
    duckdb_free(const_cast<char*>(name));
    return text;
  }

  // Rows are made as the sink takes them, so that a result of any size needs little memory.
  Result<void> stream(duckdb_prepared_statement statement, std::vector<ResultColumn> columns,
                      RowSink& sink) {
    OwnedResult result;
    if (duckdb_execute_prepared_streaming(statement, result.out()) != DuckDBSuccess) {
      return failed(duckdb_result_error(result.out()));
    }
    return read(result.get(), std::move(columns), sink);
  }

  Result<void> read(duckdb_result& result, std::vector<ResultColumn> columns, RowSink& sink) {
    if (columns.empty()) {
      for (idx_t column = 0; column < duckdb_column_count(&result); ++column) {
        columns.push_back({duckdb_column_name(&result, column),
                           ChunkReader::kind_of(duckdb_column_type(&result, column))});
      }
    }
    sink.columns(columns);
    ResultRow row;
    while (true) {
      OwnedChunk chunk;
      chunk.get() = duckdb_fetch_chunk(result);
      if (chunk.get() == nullptr) break;
      ChunkReader reader(chunk.get());
      for (std::size_t i = 0; i < reader.row_count(); ++i) {
        reader.read(i, row);
        if (!sink.row(row)) return {};
      }
    }
    const char* message = duckdb_result_error(&result);
    if (message != nullptr && *message != '\0') return failed(message);
    return {};
  }

  bool is_locked_ = false;
  bool is_broken_ = false;
  std::atomic<bool> is_interrupted_{false};
  duckdb_database database_ = nullptr;
  duckdb_connection connection_ = nullptr;
};

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out += quote;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  auto engine = std::make_unique<DuckEngine>();
  MR_TRY(engine->open(options));
  return engine;
}

Result<std::vector<ResultRow>> Engine::rows(const std::string& sql) {
  RowCollector collector;
  MR_TRY(query(sql, collector));
  return std::move(collector.rows);
}

std::string quote_identifier(std::string_view name) { return quoted(name, '"'); }

std::string quote_text(std::string_view text) { return quoted(text, '\''); }

std::string quote_list(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) {
    if (list.size() > 1) list += ", ";
    list += quote_text(text);
  }
  return list += "]";
}

}  // namespace millrace::sql
