#include "sql/chunk_reader.h"

#include <fmt/format.h>

#include <chrono>

#include "base/time_text.h"

namespace millrace::sql {

namespace {

template <typename T>
const T& value_at(const void* data, std::size_t row) {
  return static_cast<const T*>(data)[row];
}

std::string huge_text(const duckdb_hugeint& value) {
  __extension__ using Wide = __int128;
  __extension__ using UnsignedWide = unsigned __int128;
  const auto bits =
      (static_cast<UnsignedWide>(static_cast<std::uint64_t>(value.upper)) << 64) | value.lower;
  return fmt::format("{}", static_cast<Wide>(bits));
}

std::string date_text(std::int32_t days) {
  // DuckDB's infinities.
  if (days == INT32_MAX) return "infinity";
  if (days == -INT32_MAX) return "-infinity";
  return to_iso_date(Day(std::chrono::days(days)));
}

std::string timestamp_text(std::int64_t microseconds) {
  // DuckDB's infinities.
  if (microseconds == INT64_MAX) return "infinity";
  if (microseconds == -INT64_MAX) return "-infinity";
  return to_rfc3339(Timestamp(std::chrono::microseconds(microseconds)));
}

std::string string_text(const duckdb_string_t& value) {
  duckdb_string_t copy = value;
  return {duckdb_string_t_data(&copy), duckdb_string_t_length(copy)};
}

std::string text_of(duckdb_type type, const void* data, std::size_t row) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN: return value_at<bool>(data, row) ? "true" : "false";
    case DUCKDB_TYPE_TINYINT:
      return fmt::format("{}", static_cast<int>(value_at<std::int8_t>(data, row)));
    case DUCKDB_TYPE_SMALLINT: return fmt::format("{}", value_at<std::int16_t>(data, row));
    case DUCKDB_TYPE_INTEGER: return fmt::format("{}", value_at<std::int32_t>(data, row));
    case DUCKDB_TYPE_BIGINT: return fmt::format("{}", value_at<std::int64_t>(data, row));
    case DUCKDB_TYPE_UTINYINT:
      return fmt::format("{}", static_cast<unsigned>(value_at<std::uint8_t>(data, row)));
    case DUCKDB_TYPE_USMALLINT: return fmt::format("{}", value_at<std::uint16_t>(data, row));
    case DUCKDB_TYPE_UINTEGER: return fmt::format("{}", value_at<std::uint32_t>(data, row));
    case DUCKDB_TYPE_UBIGINT: return fmt::format("{}", value_at<std::uint64_t>(data, row));
    case DUCKDB_TYPE_HUGEINT: return huge_text(value_at<duckdb_hugeint>(data, row));
    case DUCKDB_TYPE_FLOAT: return fmt::format("{}", value_at<float>(data, row));
    case DUCKDB_TYPE_DOUBLE: return fmt::format("{}", value_at<double>(data, row));
    case DUCKDB_TYPE_VARCHAR: return string_text(value_at<duckdb_string_t>(data, row));
    case DUCKDB_TYPE_DATE: return date_text(value_at<duckdb_date>(data, row).days);
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      return timestamp_text(value_at<duckdb_timestamp>(data, row).micros);
    default: return {};
  }
}

}  // namespace

ChunkReader::ChunkReader(duckdb_data_chunk chunk) : row_count_(duckdb_data_chunk_get_size(chunk)) {
  for (idx_t i = 0; i < duckdb_data_chunk_get_column_count(chunk); ++i) {
    duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
    duckdb_logical_type type = duckdb_vector_get_column_type(vector);
    columns_.push_back({duckdb_get_type_id(type), duckdb_vector_get_data(vector),
                        duckdb_vector_get_validity(vector)});
    duckdb_destroy_logical_type(&type);
  }
}

void ChunkReader::read(std::size_t row, ResultRow& out) const {
  out.resize(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    const bool is_null =
        column.validity != nullptr && !duckdb_validity_row_is_valid(column.validity, row);
    if (is_null)
      out[i].reset();
    else
      out[i] = text_of(column.type, column.data, row);
  }
}

ValueKind ChunkReader::kind_of(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN: return ValueKind::boolean;
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_DECIMAL:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE: return ValueKind::number;
    case DUCKDB_TYPE_DATE:
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ: return ValueKind::time;
    default: return ValueKind::text;
  }
}

bool ChunkReader::needs_text(duckdb_prepared_statement statement) {
  if (duckdb_prepared_statement_type(statement) != DUCKDB_STATEMENT_TYPE_SELECT) return false;
  for (idx_t column = 0; column < duckdb_prepared_statement_column_count(statement); ++column) {
    const duckdb_type type = duckdb_prepared_statement_column_type(statement, column);
    if (type != DUCKDB_TYPE_VARCHAR &&
        (kind_of(type) == ValueKind::text || type == DUCKDB_TYPE_DECIMAL)) {
      return true;
    }
  }
  return false;
}

ChunkReader::Conversion ChunkReader::conversion_of(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_STRUCT:
    case DUCKDB_TYPE_MAP:
    case DUCKDB_TYPE_UNION: return {"CAST(to_json({}) AS VARCHAR)", true};
    default: break;
  }
  const bool is_plain = type == DUCKDB_TYPE_VARCHAR ||
                        (kind_of(type) != ValueKind::text && type != DUCKDB_TYPE_DECIMAL);
  return {is_plain ? "{}" : "CAST({} AS VARCHAR)", false};
}

}  // namespace millrace::sql
