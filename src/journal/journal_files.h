#pragma once

#include <cstddef>
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

// A segment file to be read while it may grow. One thread.
class JournalFileReader {
 public:
  virtual ~JournalFileReader() = default;

  // Reads up to `size_bytes` from byte `at` on to `to`; returns how many there were, 0 at the end.
  // Errors: unavailable.
  virtual Result<std::size_t> read(std::uint64_t at, char* to, std::size_t size_bytes) = 0;
};

// What the journal writes to and reads from: the files of one directory, by name. The seam at which
// tests break it. The readers of one thread may be used while another thread writes.
class JournalFiles {
 public:
  virtual ~JournalFiles() = default;

  // A new empty file; one of that name goes first. Errors: exhausted, unavailable.
  virtual Result<std::unique_ptr<JournalFile>> create(const std::string& name) = 0;

  // An existing file. Errors: not_found, unavailable.
  virtual Result<std::unique_ptr<JournalFile>> open(const std::string& name) = 0;

  // Errors: not_found, exhausted, unavailable.
  virtual Result<std::unique_ptr<JournalFileReader>> open_to_read(const std::string& name) = 0;

  // Errors: unavailable.
  virtual Result<void> remove(const std::string& name) = 0;

  // Makes creations and removals durable. Errors: unavailable.
  virtual Result<void> sync_names() = 0;
};

// The files of a directory of this machine, which must exist.
std::unique_ptr<JournalFiles> open_journal_files(std::string directory);

}  // namespace millrace::journal
