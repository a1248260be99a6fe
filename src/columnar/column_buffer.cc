#include "columnar/column_buffer.h"

#include "base/assert.h"

namespace millrace::columnar {
namespace {

template <typename T>
std::size_t bytes_of(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

}  // namespace

void StringColumn::append_null() {
  ids.push_back(null_id);
  ++null_count;
}

std::size_t StringColumn::memory_bytes() const { return dictionary.memory_bytes() + bytes_of(ids); }

template <typename Number>
void NumberColumn<Number>::append_null() {
  values.push_back(0);
  is_valid.push_back(0);
  ++null_count;
}

template <typename Number>
std::size_t NumberColumn<Number>::memory_bytes() const {
  return bytes_of(values) + bytes_of(is_valid);
}

template struct NumberColumn<std::int32_t>;
template struct NumberColumn<std::int64_t>;

void MapColumn::append_null() {
  ends.push_back(entry_ids.size());
  is_valid.push_back(0);
  ++null_count;
}

std::size_t MapColumn::memory_bytes() const {
  return strings.memory_bytes() + bytes_of(entry_ids) + bytes_of(ends) + bytes_of(is_valid);
}

ColumnBuffer make_column_buffer(ColumnType type) {
  switch (type) {
    case ColumnType::string: return StringColumn{};
    case ColumnType::int32:
    case ColumnType::date: return NumberColumn<std::int32_t>{};
    case ColumnType::int64:
    case ColumnType::timestamp: return NumberColumn<std::int64_t>{};
    case ColumnType::string_map: return MapColumn{};
  }
  MR_ASSERT(false);
}

}  // namespace millrace::columnar
