#include "columnar/text_times.h"

#include <arrow/api.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "columnar/object_input.h"

namespace millrace::columnar {
namespace {

using Each = std::function<void(std::string_view, Timestamp)>;

constexpr std::int64_t absent = INT64_MIN;

// Row groups that hold a text at all, as far as their statistics tell.
std::vector<int> row_groups_with(const parquet::FileMetaData& metadata, int column) {
  std::vector<int> groups;
  for (int group = 0; group < metadata.num_row_groups(); ++group) {
    const auto row_group = metadata.RowGroup(group);
    const auto statistics = row_group->ColumnChunk(column)->statistics();
    const bool is_empty = statistics != nullptr && statistics->HasNullCount() &&
                          statistics->null_count() == row_group->num_rows();
    if (!is_empty) groups.push_back(group);
  }
  return groups;
}

Timestamp time_of(std::int64_t value, arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND: return Timestamp(std::chrono::seconds(value));
    case arrow::TimeUnit::MILLI: return Timestamp(std::chrono::milliseconds(value));
    case arrow::TimeUnit::MICRO: return Timestamp(std::chrono::microseconds(value));
    case arrow::TimeUnit::NANO: return Timestamp(std::chrono::microseconds(value / 1000));
  }
  return Timestamp();
}

arrow::Status tell(const arrow::DictionaryArray& texts, const arrow::TimestampArray& times,
                   const Each& each) {
  const auto* names = dynamic_cast<const arrow::StringArray*>(texts.dictionary().get());
  if (names == nullptr) return arrow::Status::TypeError("the text column holds no strings");
  std::vector<std::int64_t> latest(static_cast<std::size_t>(names->length()), absent);
  for (std::int64_t row = 0; row < texts.length(); ++row) {
    if (texts.IsNull(row) || times.IsNull(row)) continue;
    std::int64_t& time = latest[static_cast<std::size_t>(texts.GetValueIndex(row))];
    time = std::max(time, times.Value(row));
  }
  const auto unit = static_cast<const arrow::TimestampType&>(*times.type()).unit();
  for (std::int64_t i = 0; i < names->length(); ++i) {
    const std::int64_t time = latest[static_cast<std::size_t>(i)];
    if (time != absent) each(names->GetView(i), time_of(time, unit));
  }
  return arrow::Status::OK();
}

arrow::Status read(std::shared_ptr<ObjectInput> input, const TextTimeColumns& columns,
                   const Each& each) {
  auto file = parquet::ParquetFileReader::Open(std::move(input));
  const auto metadata = file->metadata();
  const int text = metadata->schema()->ColumnIndex(columns.text);
  const int time = metadata->schema()->ColumnIndex(columns.time);
  if (text < 0 || time < 0) return arrow::Status::OK();
  parquet::ArrowReaderProperties properties;
  properties.set_read_dictionary(text, true);
  properties.set_pre_buffer(false);
  ARROW_ASSIGN_OR_RAISE(
      const auto reader,
      parquet::arrow::FileReader::Make(arrow::default_memory_pool(), std::move(file), properties));
  ARROW_ASSIGN_OR_RAISE(const auto batches, reader->GetRecordBatchReader(
                                                row_groups_with(*metadata, text), {text, time}));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const auto batch, batches->Next());
    if (batch == nullptr) return arrow::Status::OK();
    const auto texts =
        std::dynamic_pointer_cast<arrow::DictionaryArray>(batch->GetColumnByName(columns.text));
    const auto times =
        std::dynamic_pointer_cast<arrow::TimestampArray>(batch->GetColumnByName(columns.time));
    if (!texts || !times) return arrow::Status::TypeError("the columns are of other types");
    ARROW_RETURN_NOT_OK(tell(*texts, *times, each));
  }
}

}  // namespace

Result<void> read_text_times(store::ObjectStore& store, const std::string& key,
                             const TextTimeColumns& columns, const Each& each) {
  MR_TRY_ASSIGN(const store::ObjectInfo info, store.head(key));
  const auto input =
      std::make_shared<ObjectInput>(store, key, static_cast<std::int64_t>(info.size_bytes));
  std::string reason;
  try {
    const arrow::Status status = read(input, columns, each);
    if (status.ok()) return {};
    reason = status.ToString();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (input->error()) return tl::unexpected(*input->error());
  return fail(Errc::corrupt, "reading " + key + ": " + reason);
}

}  // namespace millrace::columnar
