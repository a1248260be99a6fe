#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include "columnar/column_buffer.h"
#include "columnar/table_schema.h"

// Collected columns as Arrow's arrays. For this folder only.
namespace millrace::columnar {

std::shared_ptr<arrow::Schema> arrow_schema(const std::vector<Column>& columns);

// The values of `rows`, in that order. A string column comes as a dictionary of just the values
// among them where that is the smaller form; Parquet stores both as the same type.
arrow::Result<std::shared_ptr<arrow::Array>> arrow_array(const Column& column,
                                                         const ColumnBuffer& buffer,
                                                         std::span<const std::uint32_t> rows);

}  // namespace millrace::columnar
