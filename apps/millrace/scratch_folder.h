#pragma once

#include <string>

#include "base/posix_file.h"
#include "base/result.h"

namespace millrace::apps {

// A folder for one process's temporary files, removed with all that is in it. What processes that
// died have left beside it is removed when it is made.
class ScratchFolder {
 public:
  // Makes a folder of its own below `parent`. Errors: exhausted, unavailable.
  static Result<ScratchFolder> create(const std::string& parent);

  ScratchFolder(ScratchFolder&& other) noexcept = default;
  ScratchFolder& operator=(ScratchFolder&& other) noexcept = default;
  ~ScratchFolder();

  const std::string& path() const { return path_; }

 private:
  ScratchFolder(std::string path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  FileDescriptor lock_;  // Held while the process lives; the kernel lets go of a dead one's.
};

}  // namespace millrace::apps
