#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::journal {

// A segment file that grows at its end. One thread.
class JournalFile {
 public:
  virtual ~JournalFile() = default;

  // After an error a part of `bytes` may be in the file. Errors: exhausted, unavailable.
  virtual Result<void> append(std::string_view bytes) = 0;

  // Makes what was appended durable. After an error nothing is known about what was appended since
  // the last success, nor will another call make it known. Errors: exhausted, unavailable.
  virtual Result<void> sync() = 0;

  // Errors: unavailable.
  virtual Result<void> truncate(std::uint64_t size_bytes) = 0;
};

// What the journal writes to: the files of one directory, by name. The seam at which tests break
// it.
class JournalFiles {
 public:
  virtual ~JournalFiles() = default;

  // A new empty file; one of that name goes first. Errors: exhausted, unavailable.
  virtual Result<std::unique_ptr<JournalFile>> create(const std::string& name) = 0;

  // An existing file. Errors: not_found, unavailable.
  virtual Result<std::unique_ptr<JournalFile>> open(const std::string& name) = 0;

  // Errors: unavailable.
  virtual Result<void> remove(const std::string& name) = 0;

  // Makes creations and removals durable. Errors: unavailable.
  virtual Result<void> sync_names() = 0;
};

// The files of a directory of this machine, which must exist.
std::unique_ptr<JournalFiles> open_journal_files(std::string directory);

}  // namespace millrace::journal
