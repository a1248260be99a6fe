#include "columnar/file_builder.h"

#include <algorithm>
#include <exception>
#include <new>
#include <numeric>
#include <optional>
#include <vector>

#include <arrow/api.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include "base/assert.h"
#include "columnar/arrow_columns.h"
#include "columnar/column_buffer.h"
#include "columnar/file_stats.h"
#include "columnar/object_stream.h"

namespace millrace::columnar {

struct FileBuilder::Impl {
  std::vector<Column> columns;
  std::vector<ColumnBuffer> buffers;  // One for each column.
  FileBuilderOptions options;
  std::optional<std::size_t> sort_column;
  std::size_t rows = 0;

  template <typename Buffer>
  Buffer& buffer(std::size_t column) {
    auto* buffer = std::get_if<Buffer>(&buffers[column]);
    MR_ASSERT(buffer != nullptr && buffer->size() == rows);
    return *buffer;
  }

  std::vector<std::uint32_t> rows_in_order() const;
  std::shared_ptr<parquet::WriterProperties> parquet_properties() const;
  arrow::Status write(const std::shared_ptr<ObjectStream>& stream) const;
};

// The rows' numbers, sorted by the sort column; rows of one time stay as they came.
std::vector<std::uint32_t> FileBuilder::Impl::rows_in_order() const {
  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0U);
  if (!sort_column) return order;
  const auto& times = std::get<NumberColumn<std::int64_t>>(buffers[*sort_column]).values;
  if (std::is_sorted(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(rows))) {
    return order;
  }
  std::sort(order.begin(), order.end(), [&times](std::uint32_t left, std::uint32_t right) {
    return times[left] != times[right] ? times[left] < times[right] : left < right;
  });
  return order;
}

std::shared_ptr<parquet::WriterProperties> FileBuilder::Impl::parquet_properties() const {
  parquet::WriterProperties::Builder properties;
  properties.created_by("millrace")
      ->version(parquet::ParquetVersion::PARQUET_2_6)
      ->compression(parquet::Compression::ZSTD)
      ->compression_level(options.zstd_level)
      ->enable_write_page_index();
  if (sort_column) {
    const std::string& name = columns[*sort_column].name;
    properties.disable_dictionary(name)->encoding(name, parquet::Encoding::DELTA_BINARY_PACKED);
  }
  return properties.build();
}

arrow::Status FileBuilder::Impl::write(const std::shared_ptr<ObjectStream>& stream) const {
  const std::vector<std::uint32_t> order = rows_in_order();
  ARROW_ASSIGN_OR_RAISE(auto file, parquet::arrow::FileWriter::Open(*arrow_schema(columns),
                                                                    arrow::default_memory_pool(),
                                                                    stream, parquet_properties()));
  for (std::size_t start = 0; start < rows; start += options.row_group_rows_max) {
    const std::size_t count = std::min(options.row_group_rows_max, rows - start);
    ARROW_RETURN_NOT_OK(file->NewRowGroup());
    for (std::size_t i = 0; i < columns.size(); ++i) {
      ARROW_ASSIGN_OR_RAISE(const auto array, arrow_array(columns[i], buffers[i],
                                                          std::span(order).subspan(start, count)));
      ARROW_RETURN_NOT_OK(file->WriteColumnChunk(*array));
    }
  }
  ARROW_RETURN_NOT_OK(file->Close());
  return stream->Close();
}

FileBuilder::FileBuilder(const TableSchema& schema, FileBuilderOptions options)
    : impl_(std::make_unique<Impl>()) {
  MR_ASSERT(options.row_group_rows_max > 0);
  impl_->columns = schema.file_columns();
  for (std::size_t i = 0; i < impl_->columns.size(); ++i) {
    const Column& column = impl_->columns[i];
    impl_->buffers.push_back(make_column_buffer(column.type));
    if (column.name == options.sort_column) {
      MR_ASSERT(column.type == ColumnType::timestamp && column.required);
      impl_->sort_column = i;
    }
  }
  MR_ASSERT(options.sort_column.empty() || impl_->sort_column);
  impl_->options = std::move(options);
}

FileBuilder::FileBuilder(FileBuilder&&) noexcept = default;
FileBuilder& FileBuilder::operator=(FileBuilder&&) noexcept = default;
FileBuilder::~FileBuilder() = default;

void FileBuilder::append_string(std::size_t column, std::string_view value) {
  auto& buffer = impl_->buffer<StringColumn>(column);
  buffer.ids.push_back(buffer.dictionary.id_of(value));
}

void FileBuilder::append_int32(std::size_t column, std::int32_t value) {
  impl_->buffer<NumberColumn<std::int32_t>>(column).append(value);
}

void FileBuilder::append_int64(std::size_t column, std::int64_t value) {
  impl_->buffer<NumberColumn<std::int64_t>>(column).append(value);
}

void FileBuilder::append_timestamp(std::size_t column, Timestamp value) {
  append_int64(column, value.time_since_epoch().count());
}

void FileBuilder::append_date(std::size_t column, Day value) {
  append_int32(column, static_cast<std::int32_t>(value.time_since_epoch().count()));
}

void FileBuilder::append_map(
    std::size_t column, std::span<const std::pair<std::string_view, std::string_view>> entries) {
  auto& buffer = impl_->buffer<MapColumn>(column);
  for (const auto& [name, value] : entries) {
    buffer.entry_ids.push_back(buffer.strings.id_of(name));
    buffer.entry_ids.push_back(buffer.strings.id_of(value));
  }
  buffer.ends.push_back(buffer.entry_ids.size());
  buffer.is_valid.push_back(1);
}

void FileBuilder::end_row() {
  ++impl_->rows;
  for (std::size_t i = 0; i < impl_->buffers.size(); ++i) {
    std::visit(
        [&](auto& buffer) {
          if (buffer.size() == impl_->rows) return;
          MR_ASSERT(!impl_->columns[i].required);
          buffer.append_null();
        },
        impl_->buffers[i]);
  }
}

std::size_t FileBuilder::row_count() const { return impl_->rows; }

std::size_t FileBuilder::memory_bytes() const {
  std::size_t total = 0;
  for (const ColumnBuffer& buffer : impl_->buffers) {
    total += std::visit([](const auto& column) { return column.memory_bytes(); }, buffer);
  }
  return total;
}

Result<FileSummary> FileBuilder::finish(store::ObjectWriter& object) const {
  const auto stream = std::make_shared<ObjectStream>(object);
  try {
    const arrow::Status status = impl_->write(stream);
    if (stream->error()) return tl::unexpected(*stream->error());
    // Beside the object, only memory can fail: the columns are what their types say.
    if (!status.ok()) return fail(Errc::exhausted, "cannot encode a file: " + status.ToString());
  } catch (const std::exception& error) {
    if (stream->error()) return tl::unexpected(*stream->error());
    return fail(Errc::exhausted, std::string("cannot encode a file: ") + error.what());
  }
  MR_TRY(object.finish());
  return FileSummary{
      .rows = static_cast<std::int64_t>(impl_->rows),
      .size_bytes = stream->size_bytes(),
      .stats_json = stats_json(impl_->columns, impl_->buffers, impl_->rows),
  };
}

}  // namespace millrace::columnar
