#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace millrace {

// An open file, closed when destroyed. Movable. Not thread-safe, but for pread and pwrite on it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// The functions below name the path and the system's reason in their errors:
//   not_found       ENOENT
//   already_exists  EEXIST
//   exhausted       ENOSPC, EDQUOT, EMFILE, ENFILE
//   unavailable     anything else

// "opening data/journal: No such file or directory"; `doing` is the "opening" of it.
Error errno_error(std::string_view doing, std::string_view path, int error_number);

// `flags` and `mode` as of open(2); O_CLOEXEC is added.
Result<FileDescriptor> open_file(const std::string& path, int flags, unsigned mode = 0644);
Result<std::string> read_file(const std::string& path);
Result<void> write_all(int fd, std::string_view bytes, const std::string& path);
Result<void> sync_data(int fd, const std::string& path);

// Makes the names in a directory (creations, links, renames, removals) survive a power cut.
Result<void> sync_directory(const std::string& path);

// Creates a directory and its parents; each new name is durable on return.
Result<void> create_directories(const std::string& path);

}  // namespace millrace
