#include "store/upload.h"

#include <fmt/format.h>

#include <fstream>

namespace millrace::store {

Result<std::uint64_t> upload_file(const std::string& path, ObjectStore& store,
                                  std::string_view key) {
  MR_TRY_ASSIGN(const auto object, store.create(key));
  std::ifstream file(path, std::ios::binary);
  std::string piece(1 << 20, '\0');
  std::uint64_t size_bytes = 0;
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto count = static_cast<std::size_t>(file.gcount());
    if (count > 0) MR_TRY(object->write(std::string_view(piece).substr(0, count)));
    size_bytes += count;
  }
  if (!file.eof()) return fail(Errc::unavailable, fmt::format("reading {} failed", path));
  MR_TRY(object->finish());
  return size_bytes;
}

}  // namespace millrace::store
