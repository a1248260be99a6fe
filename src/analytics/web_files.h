#pragma once

#include <string_view>
#include <vector>

// For this folder only: the files of web/, as tools/build_web.sh has built them.
namespace millrace::analytics {

struct WebFile {
  std::string_view path;  // "/app.js".
  std::string_view gzip;  // Its bytes, compressed.
};

const std::vector<WebFile>& web_files();

}  // namespace millrace::analytics
