#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "store/object_store.h"

namespace millrace::columnar {

// Which columns of a data file to read: one of strings, one of timestamps.
struct TextTimeColumns {
  std::string text;
  std::string time;
};

// Calls `each` with the texts of a data file, each with the latest time of the rows that hold it.
// A text may come more than once. Rows without a text or a time are passed over, and so is a file
// that lacks one of the columns. Reads these two columns only, in bounded memory.
// Errors: those of the store, and corrupt where the object is no such Parquet file.
Result<void> read_text_times(store::ObjectStore& store, const std::string& key,
                             const TextTimeColumns& columns,
                             const std::function<void(std::string_view, Timestamp)>& each);

}  // namespace millrace::columnar
