#include "columnar/arrow_columns.h"

#include <cstring>

#include <arrow/api.h>
#include <arrow/util/bit_util.h>

#include "base/assert.h"

namespace millrace::columnar {
namespace {

using Rows = std::span<const std::uint32_t>;
using ArrayResult = arrow::Result<std::shared_ptr<arrow::Array>>;

std::shared_ptr<arrow::DataType> arrow_type(ColumnType type) {
  switch (type) {
    case ColumnType::string: return arrow::utf8();
    case ColumnType::int32: return arrow::int32();
    case ColumnType::int64: return arrow::int64();
    case ColumnType::timestamp: return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case ColumnType::date: return arrow::date32();
    case ColumnType::string_map: return arrow::map(arrow::utf8(), arrow::utf8());
  }
  MR_ASSERT(false);
}

template <typename T>
arrow::Result<std::shared_ptr<arrow::Buffer>> new_buffer(std::size_t items) {
  ARROW_ASSIGN_OR_RAISE(auto buffer,
                        arrow::AllocateBuffer(static_cast<std::int64_t>(items * sizeof(T))));
  return std::shared_ptr<arrow::Buffer>(std::move(buffer));
}

template <typename T>
T* items_of(const std::shared_ptr<arrow::Buffer>& buffer) {
  return reinterpret_cast<T*>(buffer->mutable_data());
}

// The bitmap of rows that are not null. Without nulls: no bitmap.
template <typename IsValid>
arrow::Result<std::shared_ptr<arrow::Buffer>> validity(Rows rows, std::size_t column_null_count,
                                                       IsValid is_valid) {
  if (column_null_count == 0) return nullptr;
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bitmap,
                        arrow::AllocateEmptyBitmap(static_cast<std::int64_t>(rows.size())));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (is_valid(rows[i])) arrow::bit_util::SetBit(bitmap->mutable_data(), static_cast<int64_t>(i));
  }
  return bitmap;
}

std::shared_ptr<arrow::Array> array_of(std::shared_ptr<arrow::DataType> type, std::size_t length,
                                       std::vector<std::shared_ptr<arrow::Buffer>> buffers) {
  return arrow::MakeArray(arrow::ArrayData::Make(std::move(type), static_cast<std::int64_t>(length),
                                                 std::move(buffers)));
}

template <typename Number>
ArrayResult number_array(ColumnType type, const NumberColumn<Number>& column, Rows rows) {
  ARROW_ASSIGN_OR_RAISE(auto bitmap, validity(rows, column.null_count, [&](std::uint32_t row) {
                          return column.is_valid[row] != 0;
                        }));
  ARROW_ASSIGN_OR_RAISE(auto values, new_buffer<Number>(rows.size()));
  auto* out = items_of<Number>(values);
  for (const std::uint32_t row : rows) *out++ = column.values[row];
  return array_of(arrow_type(type), rows.size(), {bitmap, values});
}

// The strings of `ids`, one after the other; null_id gives an empty string.
ArrayResult dense_strings(const StringDictionary& dictionary, std::span<const std::int32_t> ids,
                          std::shared_ptr<arrow::Buffer> bitmap) {
  std::size_t size_bytes = 0;
  for (const std::int32_t id : ids) {
    if (id != StringColumn::null_id) size_bytes += dictionary.value(id).size();
  }
  if (size_bytes > INT32_MAX) return arrow::Status::CapacityError("strings above 2 GiB");

  ARROW_ASSIGN_OR_RAISE(auto offsets, new_buffer<std::int32_t>(ids.size() + 1));
  ARROW_ASSIGN_OR_RAISE(auto bytes, new_buffer<char>(size_bytes));
  auto* offset_out = items_of<std::int32_t>(offsets);
  char* out = items_of<char>(bytes);
  std::int32_t offset = 0;
  for (const std::int32_t id : ids) {
    *offset_out++ = offset;
    if (id == StringColumn::null_id) continue;
    const std::string_view value = dictionary.value(id);
    if (!value.empty()) std::memcpy(out + offset, value.data(), value.size());
    offset += static_cast<std::int32_t>(value.size());
  }
  *offset_out = offset;
  return array_of(arrow::utf8(), ids.size(), {std::move(bitmap), offsets, bytes});
}

ArrayResult string_array(const StringColumn& column, Rows rows) {
  ARROW_ASSIGN_OR_RAISE(auto bitmap, validity(rows, column.null_count, [&](std::uint32_t row) {
                          return column.ids[row] != StringColumn::null_id;
                        }));
  // Numbers the values among `rows` anew: the file's other row groups have their own dictionaries.
  std::vector<std::int32_t> local_of(column.dictionary.size(), -1);
  std::vector<std::int32_t> distinct;
  std::size_t distinct_bytes = 0;
  std::size_t dense_bytes = 0;
  ARROW_ASSIGN_OR_RAISE(auto indices, new_buffer<std::int32_t>(rows.size()));
  auto* out = items_of<std::int32_t>(indices);
  for (const std::uint32_t row : rows) {
    const std::int32_t id = column.ids[row];
    if (id == StringColumn::null_id) {
      *out++ = 0;
      continue;
    }
    const std::size_t size_bytes = column.dictionary.value(id).size() + sizeof(std::int32_t);
    std::int32_t& local = local_of[static_cast<std::size_t>(id)];
    if (local < 0) {
      local = static_cast<std::int32_t>(distinct.size());
      distinct.push_back(id);
      distinct_bytes += size_bytes;
    }
    dense_bytes += size_bytes;
    *out++ = local;
  }
  if (!distinct.empty() && dense_bytes < 2 * distinct_bytes) {
    std::vector<std::int32_t> ids;
    ids.reserve(rows.size());
    for (const std::uint32_t row : rows) ids.push_back(column.ids[row]);
    return dense_strings(column.dictionary, ids, bitmap);
  }
  ARROW_ASSIGN_OR_RAISE(auto values, dense_strings(column.dictionary, distinct, nullptr));
  const auto type = arrow::dictionary(arrow::int32(), arrow::utf8());
  return std::make_shared<arrow::DictionaryArray>(
      type, array_of(arrow::int32(), rows.size(), {bitmap, indices}), values);
}

ArrayResult map_array(const MapColumn& column, Rows rows) {
  ARROW_ASSIGN_OR_RAISE(auto bitmap, validity(rows, column.null_count, [&](std::uint32_t row) {
                          return column.is_valid[row] != 0;
                        }));
  ARROW_ASSIGN_OR_RAISE(auto offsets, new_buffer<std::int32_t>(rows.size() + 1));
  auto* offset_out = items_of<std::int32_t>(offsets);
  std::vector<std::int32_t> names;
  std::vector<std::int32_t> values;
  for (const std::uint32_t row : rows) {
    *offset_out++ = static_cast<std::int32_t>(names.size());
    for (std::size_t at = column.start(row); at < column.ends[row]; at += 2) {
      names.push_back(column.entry_ids[at]);
      values.push_back(column.entry_ids[at + 1]);
    }
  }
  *offset_out = static_cast<std::int32_t>(names.size());
  ARROW_ASSIGN_OR_RAISE(auto name_array, dense_strings(column.strings, names, nullptr));
  ARROW_ASSIGN_OR_RAISE(auto value_array, dense_strings(column.strings, values, nullptr));
  return std::make_shared<arrow::MapArray>(arrow_type(ColumnType::string_map),
                                           static_cast<std::int64_t>(rows.size()), offsets,
                                           name_array, value_array, bitmap);
}

}  // namespace

std::shared_ptr<arrow::Schema> arrow_schema(const std::vector<Column>& columns) {
  arrow::FieldVector fields;
  for (const Column& column : columns) {
    fields.push_back(arrow::field(column.name, arrow_type(column.type), !column.required));
  }
  return arrow::schema(std::move(fields));
}

ArrayResult arrow_array(const Column& column, const ColumnBuffer& buffer, Rows rows) {
  switch (column.type) {
    case ColumnType::string: return string_array(std::get<StringColumn>(buffer), rows);
    case ColumnType::int32:
    case ColumnType::date:
      return number_array(column.type, std::get<NumberColumn<std::int32_t>>(buffer), rows);
    case ColumnType::int64:
    case ColumnType::timestamp:
      return number_array(column.type, std::get<NumberColumn<std::int64_t>>(buffer), rows);
    case ColumnType::string_map: return map_array(std::get<MapColumn>(buffer), rows);
  }
  MR_ASSERT(false);
}

}  // namespace millrace::columnar
