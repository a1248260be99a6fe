#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "record/record.h"

namespace millrace::record {

// Appends `record` as one line of canonical NDJSON: the column names as keys in the table's order,
// absent fields left out, timestamps as RFC 3339 with microseconds, attributes as an object of
// strings, '\n' at the end. Always valid UTF-8 where the fields are.
void append_canonical(std::string& out, const Record& record);

// Reads canonical NDJSON back, line by line, for the writer. Reuses its buffers; one thread.
class CanonicalReader {
 public:
  CanonicalReader();
  ~CanonicalReader();

  // Starts on new text, which must outlive the reading of it.
  void reset(std::string_view ndjson);

  // The next record, or nullptr at the end. Valid until the next call.
  // Errors: corrupt, naming the line's number and the reason; calling again goes on behind it, and
  // line() is the text of the line at fault. Lines that other producers wrote are accepted as far
  // as they hold the canonical keys in any order; unknown keys are an error.
  Result<const Record*> next();

  // The text of the line that next() read last.
  std::string_view line() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::record
