#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// For this folder only: what a locked engine runs. DuckDB's allowed directories are as open to COPY
// and ATTACH as to reading, and some of its table functions act when they are selected from.
namespace millrace::sql {

// What an EXPLAIN [ANALYZE] explains, and so may run; another statement as it stands.
std::string_view explained_statement(std::string_view sql);

// Whether a statement does nothing but read, from DuckDB's json_serialize_sql() of it.
// Errors: invalid_argument, with DuckDB's message where it does not parse.
Result<void> check_reads_only(const std::string& serialized);

}  // namespace millrace::sql
