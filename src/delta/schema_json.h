#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "columnar/table_schema.h"

namespace millrace::delta {

// The columns as the protocol's schema string (PROTOCOL.md, "Schema Serialization Format").
std::string encode_schema(const std::vector<columnar::Column>& columns);

// The inverse. Errors: corrupt (not a schema), invalid_argument (a type that Millrace does not
// know).
Result<std::vector<columnar::Column>> decode_schema(std::string_view json);

// The schema string with further columns at its end; all else that other engines keep in it stays.
// Errors: as decode_schema().
Result<std::string> with_columns(std::string_view json,
                                 const std::vector<columnar::Column>& columns);

// Those of `ours` that may be null and that `theirs` does not have, neither as such nor under their
// name as something else.
std::vector<columnar::Column> addable_columns(const columnar::TableSchema& ours,
                                              const columnar::TableSchema& theirs);

// Whether a writer that knows `ours` may add files to a table of schema `theirs`: all of our
// columns are there as we know them, and those that we do not know may be null.
bool may_write(const columnar::TableSchema& ours, const columnar::TableSchema& theirs);

}  // namespace millrace::delta
