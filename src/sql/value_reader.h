#pragma once

#include <cstddef>

#include <duckdb.h>

#include "base/result.h"
#include "sql/value.h"

// Inside of src/sql only: the engine's vectors as values.
namespace millrace::sql {

// The engine's name of a type.
std::string type_name(duckdb_logical_type type);

// The value of one row of `vector`, which stays with its owner.
// Errors: invalid_argument for types that have no value here (unions, BIGNUM).
Result<Value> read_value(duckdb_vector vector, duckdb_logical_type type, idx_t row);

}  // namespace millrace::sql
