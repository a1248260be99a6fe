#include "shipper/compress.h"

#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"

namespace millrace::shipper {

namespace {

// zlib's level for speed: what is sent is read once and thrown away.
std::string gzip(std::string_view bytes) {
  constexpr int window_bits_gzip = 15 + 16;
  z_stream stream{};
  MR_ASSERT(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits_gzip, 8,
                         Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  MR_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1);
  MR_ASSERT(!ZSTD_isError(size));
  out.resize(size);
  return out;
}

}  // namespace

std::string compress(std::string_view bytes, Compression compression) {
  switch (compression) {
    case Compression::none: return std::string(bytes);
    case Compression::gzip: return gzip(bytes);
    case Compression::zstd: return zstd(bytes);
  }
  return std::string(bytes);
}

}  // namespace millrace::shipper
