#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <string_view>
#include <system_error>

#include "base/assert.h"

namespace millrace {

// A fresh empty directory for one test, removed with all it holds at the end.
class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "millrace_XXXXXX").string();
    MR_ASSERT(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Writes a file and returns its path.
  std::string write(std::string_view name, std::string_view content) const {
    const std::string path = path_of(name);
    std::ofstream file(path, std::ios::binary);
    file << content;
    MR_ASSERT(file.good());
    return path;
  }

 private:
  std::string path_;
};

}  // namespace millrace
