#include "columnar/testing/read_rows.h"

#include <chrono>

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include "base/assert.h"
#include "base/time_text.h"

namespace millrace::columnar {
namespace {

std::string text_of(const arrow::Array& array, std::int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::STRING: return static_cast<const arrow::StringArray&>(array).GetString(row);
    case arrow::Type::INT32:
      return std::to_string(static_cast<const arrow::Int32Array&>(array).Value(row));
    case arrow::Type::INT64:
      return std::to_string(static_cast<const arrow::Int64Array&>(array).Value(row));
    case arrow::Type::TIMESTAMP:
      return to_rfc3339(Timestamp(
          std::chrono::microseconds(static_cast<const arrow::TimestampArray&>(array).Value(row))));
    case arrow::Type::DATE32:
      return to_iso_date(
          Day(std::chrono::days(static_cast<const arrow::Date32Array&>(array).Value(row))));
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapArray&>(array);
      std::string text;
      for (std::int64_t at = map.value_offset(row); at < map.value_offset(row + 1); ++at) {
        if (!text.empty()) text += ',';
        text += text_of(*map.keys(), at) + "=" + text_of(*map.items(), at);
      }
      return text;
    }
    default: MR_ASSERT(false);
  }
}

}  // namespace

std::vector<Row> read_rows(const std::string& parquet_bytes) {
  const auto input =
      std::make_shared<arrow::io::BufferReader>(std::make_shared<arrow::Buffer>(parquet_bytes));
  auto reader = parquet::arrow::OpenFile(input, arrow::default_memory_pool());
  MR_ASSERT(reader.ok());
  const auto read = (*reader)->ReadTable();
  MR_ASSERT(read.ok());
  const auto combined = (*read)->CombineChunks();
  MR_ASSERT(combined.ok());
  const arrow::Table& table = **combined;

  std::vector<Row> rows(static_cast<std::size_t>(table.num_rows()));
  for (int i = 0; i < table.num_columns() && !rows.empty(); ++i) {
    const arrow::Array& array = *table.column(i)->chunk(0);
    for (std::int64_t row = 0; row < table.num_rows(); ++row) {
      if (array.IsNull(row)) continue;
      rows[static_cast<std::size_t>(row)][table.field(i)->name()] = text_of(array, row);
    }
  }
  return rows;
}

Result<void> StringObject::write(std::string_view bytes) {
  written_.append(bytes);
  return {};
}

Result<void> StringObject::finish() {
  finished_ = written_;
  return {};
}

}  // namespace millrace::columnar
