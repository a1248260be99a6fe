#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/object_store.h"

namespace millrace::columnar {

// A row of a data file as text: numbers in decimal, times in RFC 3339, dates in ISO 8601, maps as
// "name=value,name=value". Null columns are left out.
using Row = std::map<std::string, std::string>;

// All rows of a Parquet file, in the file's order. For tests: a file that cannot be read ends the
// process.
std::vector<Row> read_rows(const std::string& parquet_bytes);

// What `write` gives is collected into a string, for tests of what writes to objects.
class StringObject final : public store::ObjectWriter {
 public:
  Result<void> write(std::string_view bytes) override;
  Result<void> finish() override;

  // The object; empty until it is finished.
  const std::string& bytes() const { return finished_; }

 private:
  std::string written_;
  std::string finished_;
};

}  // namespace millrace::columnar
