#include "sql/value_reader.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace millrace::sql {
namespace {

class OwnedType {
 public:
  explicit OwnedType(duckdb_logical_type type) : type_(type) {}
  ~OwnedType() { duckdb_destroy_logical_type(&type_); }
  OwnedType(const OwnedType&) = delete;
  OwnedType& operator=(const OwnedType&) = delete;
  duckdb_logical_type get() const { return type_; }

 private:
  duckdb_logical_type type_;
};

template <typename T>
T at(duckdb_vector vector, idx_t row) {
  return static_cast<const T*>(duckdb_vector_get_data(vector))[row];
}

std::string taken(char* text) {
  std::string out = text == nullptr ? "" : text;
  duckdb_free(text);
  return out;
}

// What the engine prints for a value. Takes ownership.
std::string text_of(duckdb_value value) {
  std::string text = taken(duckdb_get_varchar(value));
  duckdb_destroy_value(&value);
  return text;
}

std::string string_at(duckdb_vector vector, idx_t row) {
  auto& text = static_cast<duckdb_string_t*>(duckdb_vector_get_data(vector))[row];
  return {duckdb_string_t_data(&text), duckdb_string_t_length(text)};
}

Value integer(std::int64_t number) { return {number}; }

Value hugeint(duckdb_hugeint number) {
  const auto low = static_cast<std::int64_t>(number.lower);
  const bool fits = (number.upper == 0 && low >= 0) || (number.upper == -1 && low < 0);
  if (fits) return integer(low);
  return {ExactNumber{text_of(duckdb_create_hugeint(number))}};
}

Value uhugeint(duckdb_uhugeint number) {
  const auto low = static_cast<std::int64_t>(number.lower);
  if (number.upper == 0 && low >= 0) return integer(low);
  return {ExactNumber{text_of(duckdb_create_uhugeint(number))}};
}

Value decimal_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const auto widened = [](std::int64_t number) {
    return duckdb_hugeint{static_cast<std::uint64_t>(number), number < 0 ? -1 : 0};
  };
  duckdb_decimal decimal{duckdb_decimal_width(type), duckdb_decimal_scale(type), {}};
  switch (duckdb_decimal_internal_type(type)) {
    case DUCKDB_TYPE_SMALLINT: decimal.value = widened(at<std::int16_t>(vector, row)); break;
    case DUCKDB_TYPE_INTEGER: decimal.value = widened(at<std::int32_t>(vector, row)); break;
    case DUCKDB_TYPE_BIGINT: decimal.value = widened(at<std::int64_t>(vector, row)); break;
    default: decimal.value = at<duckdb_hugeint>(vector, row);
  }
  return {ExactNumber{text_of(duckdb_create_decimal(decimal))}};
}

// The engine has instants that are no times: 'infinity', and years that RFC 3339 cannot say.
Value timestamp(std::int64_t value, std::int64_t per_second) {
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  if (value == max) return {"infinity"};
  if (value == -max) return {"-infinity"};
  constexpr std::int64_t year_0000_s = -62'167'219'200;
  constexpr std::int64_t year_10000_s = 253'402'300'800;
  const auto seconds = value / per_second - (value % per_second < 0 ? 1 : 0);
  if (seconds < year_0000_s || seconds >= year_10000_s) {
    return {fmt::format("{} seconds since 1970", seconds)};
  }
  const std::int64_t rest = value - seconds * per_second;
  const std::int64_t micros =
      per_second >= 1'000'000 ? rest / (per_second / 1'000'000) : rest * (1'000'000 / per_second);
  return {Timestamp(std::chrono::microseconds(seconds * 1'000'000 + micros))};
}

Value date_at(duckdb_vector vector, idx_t row) {
  const std::int32_t days = at<std::int32_t>(vector, row);
  constexpr std::int32_t year_0000 = -719'528;
  constexpr std::int32_t year_10000 = 2'932'897;
  if (days < year_0000 || days >= year_10000) {
    return {text_of(duckdb_create_date(duckdb_date{days}))};
  }
  return {Day(std::chrono::days(days))};
}

std::string enum_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  idx_t index = 0;
  switch (duckdb_enum_internal_type(type)) {
    case DUCKDB_TYPE_UTINYINT: index = at<std::uint8_t>(vector, row); break;
    case DUCKDB_TYPE_USMALLINT: index = at<std::uint16_t>(vector, row); break;
    default: index = at<std::uint32_t>(vector, row);
  }
  return taken(duckdb_enum_dictionary_value(type, index));
}

std::string uuid_at(duckdb_vector vector, idx_t row) {
  // Stored with the top bit flipped, so that UUIDs sort as signed integers.
  const auto stored = at<duckdb_hugeint>(vector, row);
  constexpr std::uint64_t top_bit = std::uint64_t{1} << 63;
  return text_of(duckdb_create_uuid({stored.lower, static_cast<std::uint64_t>(stored.upper) ^ top_bit}));
}

Result<Value> list_of(duckdb_vector child, duckdb_logical_type type, idx_t begin, idx_t size) {
  List list;
  for (idx_t i = begin; i < begin + size; ++i) {
    MR_TRY_ASSIGN(Value value, read_value(child, type, i));
    list.push_back(std::move(value));
  }
  return Value{std::move(list)};
}

Result<Value> list_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const auto range = at<duckdb_list_entry>(vector, row);
  const OwnedType child(duckdb_list_type_child_type(type));
  return list_of(duckdb_list_vector_get_child(vector), child.get(), range.offset, range.length);
}

Result<Value> array_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const idx_t size = duckdb_array_type_array_size(type);
  const OwnedType child(duckdb_array_type_child_type(type));
  return list_of(duckdb_array_vector_get_child(vector), child.get(), row * size, size);
}

Result<Value> struct_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  Object object;
  const idx_t size = duckdb_struct_type_child_count(type);
  for (idx_t i = 0; i < size; ++i) {
    const OwnedType child(duckdb_struct_type_child_type(type, i));
    MR_TRY_ASSIGN(Value value,
                  read_value(duckdb_struct_vector_get_child(vector, i), child.get(), row));
    object.push_back({taken(duckdb_struct_type_child_name(type, i)), std::move(value)});
  }
  return Value{std::move(object)};
}

std::string key_text(const Value& key) {
  if (const auto* text = std::get_if<std::string>(&key.content)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&key.content)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&key.content)) return fmt::format("{}", *number);
  if (const auto* number = std::get_if<ExactNumber>(&key.content)) return number->digits;
  if (const auto* time = std::get_if<Timestamp>(&key.content)) return to_rfc3339(*time);
  if (const auto* day = std::get_if<Day>(&key.content)) return to_iso_date(*day);
  if (const auto* truth = std::get_if<bool>(&key.content)) return *truth ? "true" : "false";
  return "";
}

// A map is a list of structs of a key and a value.
Result<Value> map_at(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const auto range = at<duckdb_list_entry>(vector, row);
  const duckdb_vector entries = duckdb_list_vector_get_child(vector);
  const OwnedType key_type(duckdb_map_type_key_type(type));
  const OwnedType value_type(duckdb_map_type_value_type(type));
  Object object;
  for (idx_t i = range.offset; i < range.offset + range.length; ++i) {
    MR_TRY_ASSIGN(const Value key,
                  read_value(duckdb_struct_vector_get_child(entries, 0), key_type.get(), i));
    MR_TRY_ASSIGN(Value value,
                  read_value(duckdb_struct_vector_get_child(entries, 1), value_type.get(), i));
    object.push_back({key_text(key), std::move(value)});
  }
  return Value{std::move(object)};
}

Result<Value> rare_value(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_LIST: return list_at(vector, type, row);
    case DUCKDB_TYPE_ARRAY: return array_at(vector, type, row);
    case DUCKDB_TYPE_STRUCT: return struct_at(vector, type, row);
    case DUCKDB_TYPE_MAP: return map_at(vector, type, row);
    case DUCKDB_TYPE_ENUM: return Value{enum_at(vector, type, row)};
    case DUCKDB_TYPE_UUID: return Value{uuid_at(vector, row)};
    case DUCKDB_TYPE_TIME:
      return Value{text_of(duckdb_create_time(at<duckdb_time>(vector, row)))};
    case DUCKDB_TYPE_TIME_TZ:
      return Value{text_of(duckdb_create_time_tz_value(at<duckdb_time_tz>(vector, row)))};
    case DUCKDB_TYPE_INTERVAL:
      return Value{text_of(duckdb_create_interval(at<duckdb_interval>(vector, row)))};
    case DUCKDB_TYPE_BLOB: {
      const std::string bytes = string_at(vector, row);
      return Value{text_of(duckdb_create_blob(
          reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()))};
    }
    default:
      return fail(Errc::invalid_argument,
                  fmt::format("a result of type {} cannot be shown: cast it, e.g. col::VARCHAR",
                              type_name(type)));
  }
}

}  // namespace

std::string type_name(duckdb_logical_type type) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN: return "BOOLEAN";
    case DUCKDB_TYPE_TINYINT: return "TINYINT";
    case DUCKDB_TYPE_SMALLINT: return "SMALLINT";
    case DUCKDB_TYPE_INTEGER: return "INTEGER";
    case DUCKDB_TYPE_BIGINT: return "BIGINT";
    case DUCKDB_TYPE_UTINYINT: return "UTINYINT";
    case DUCKDB_TYPE_USMALLINT: return "USMALLINT";
    case DUCKDB_TYPE_UINTEGER: return "UINTEGER";
    case DUCKDB_TYPE_UBIGINT: return "UBIGINT";
    case DUCKDB_TYPE_HUGEINT: return "HUGEINT";
    case DUCKDB_TYPE_UHUGEINT: return "UHUGEINT";
    case DUCKDB_TYPE_FLOAT: return "FLOAT";
    case DUCKDB_TYPE_DOUBLE: return "DOUBLE";
    case DUCKDB_TYPE_DECIMAL: return "DECIMAL";
    case DUCKDB_TYPE_VARCHAR: return "VARCHAR";
    case DUCKDB_TYPE_BLOB: return "BLOB";
    case DUCKDB_TYPE_DATE: return "DATE";
    case DUCKDB_TYPE_TIME: return "TIME";
    case DUCKDB_TYPE_TIME_TZ: return "TIME WITH TIME ZONE";
    case DUCKDB_TYPE_INTERVAL: return "INTERVAL";
    case DUCKDB_TYPE_TIMESTAMP: return "TIMESTAMP";
    case DUCKDB_TYPE_TIMESTAMP_S: return "TIMESTAMP_S";
    case DUCKDB_TYPE_TIMESTAMP_MS: return "TIMESTAMP_MS";
    case DUCKDB_TYPE_TIMESTAMP_NS: return "TIMESTAMP_NS";
    case DUCKDB_TYPE_TIMESTAMP_TZ: return "TIMESTAMP WITH TIME ZONE";
    case DUCKDB_TYPE_ENUM: return "ENUM";
    case DUCKDB_TYPE_UUID: return "UUID";
    case DUCKDB_TYPE_LIST: return "LIST";
    case DUCKDB_TYPE_ARRAY: return "ARRAY";
    case DUCKDB_TYPE_STRUCT: return "STRUCT";
    case DUCKDB_TYPE_MAP: return "MAP";
    case DUCKDB_TYPE_UNION: return "UNION";
    case DUCKDB_TYPE_BIT: return "BIT";
    case DUCKDB_TYPE_BIGNUM: return "BIGNUM";
    case DUCKDB_TYPE_SQLNULL: return "NULL";
    default: return fmt::format("number {}", static_cast<int>(duckdb_get_type_id(type)));
  }
}

Result<Value> read_value(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  std::uint64_t* const validity = duckdb_vector_get_validity(vector);
  if (validity != nullptr && !duckdb_validity_row_is_valid(validity, row)) return Value{};
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_SQLNULL: return Value{};
    case DUCKDB_TYPE_BOOLEAN: return Value{at<bool>(vector, row)};
    case DUCKDB_TYPE_TINYINT: return integer(at<std::int8_t>(vector, row));
    case DUCKDB_TYPE_SMALLINT: return integer(at<std::int16_t>(vector, row));
    case DUCKDB_TYPE_INTEGER: return integer(at<std::int32_t>(vector, row));
    case DUCKDB_TYPE_BIGINT: return integer(at<std::int64_t>(vector, row));
    case DUCKDB_TYPE_UTINYINT: return integer(at<std::uint8_t>(vector, row));
    case DUCKDB_TYPE_USMALLINT: return integer(at<std::uint16_t>(vector, row));
    case DUCKDB_TYPE_UINTEGER: return integer(at<std::uint32_t>(vector, row));
    case DUCKDB_TYPE_UBIGINT: return uhugeint({at<std::uint64_t>(vector, row), 0});
    case DUCKDB_TYPE_HUGEINT: return hugeint(at<duckdb_hugeint>(vector, row));
    case DUCKDB_TYPE_UHUGEINT: return uhugeint(at<duckdb_uhugeint>(vector, row));
    case DUCKDB_TYPE_FLOAT: return Value{static_cast<double>(at<float>(vector, row))};
    case DUCKDB_TYPE_DOUBLE: return Value{at<double>(vector, row)};
    case DUCKDB_TYPE_DECIMAL: return decimal_at(vector, type, row);
    case DUCKDB_TYPE_VARCHAR: return Value{string_at(vector, row)};
    case DUCKDB_TYPE_DATE: return date_at(vector, row);
    case DUCKDB_TYPE_TIMESTAMP_S: return timestamp(at<std::int64_t>(vector, row), 1);
    case DUCKDB_TYPE_TIMESTAMP_MS: return timestamp(at<std::int64_t>(vector, row), 1000);
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ: return timestamp(at<std::int64_t>(vector, row), 1'000'000);
    case DUCKDB_TYPE_TIMESTAMP_NS: return timestamp(at<std::int64_t>(vector, row), 1'000'000'000);
    default: return rare_value(vector, type, row);
  }
}

}  // namespace millrace::sql
