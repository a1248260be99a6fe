#include <zlib.h>
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "http/decompress.h"

namespace millrace::http {
namespace {

using Kind = DecompressionFailure::Kind;

constexpr DecompressionLimits narrow{4096, 50};
constexpr DecompressionLimits wide{1 << 20, 1 << 20};

// The bytes as a body of a client: narrow limits refuse what they do not let through, and do not
// change the rest.
void check_arbitrary(const std::string& bytes, const char* encoding) {
  const auto wide_body = decompress(bytes, encoding, wide);
  MR_ASSERT(!wide_body || wide_body->size() <= wide.size_bytes_max);
  const auto narrow_body = decompress(bytes, encoding, narrow);
  if (narrow_body) {
    MR_ASSERT(narrow_body->size() <= narrow.size_bytes_max);
    MR_ASSERT(wide_body && *wide_body == *narrow_body);
    return;
  }
  const DecompressionFailure& failure = narrow_body.error();
  MR_ASSERT(!failure.message.empty() && failure.kind != Kind::unknown_encoding);
  MR_ASSERT(failure.limit.has_value() == (failure.kind == Kind::too_large));
  // What broke no limit is malformed whatever the limits are.
  if (failure.kind == Kind::malformed) {
    MR_ASSERT(!wide_body && wide_body.error().kind == Kind::malformed);
  }
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  MR_ASSERT(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  MR_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1));
  return out;
}

// The bytes compressed in two members or frames: they come back, but not where the end is cut off.
void check_round_trip(const std::string& bytes, const char* encoding,
                      std::string (*compress)(const std::string&)) {
  const std::size_t middle =
      bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]) % bytes.size();
  const std::string body = compress(bytes.substr(0, middle)) + compress(bytes.substr(middle));
  const auto back = decompress(body, encoding, wide);
  MR_ASSERT(back && *back == bytes);
  const auto cut = decompress(body.substr(0, body.size() - 1), encoding, wide);
  MR_ASSERT(!cut && cut.error().kind == Kind::malformed);

  // Nearly right: what random bytes hardly ever are.
  if (bytes.size() < 2) return;
  std::string damaged = body;
  damaged[static_cast<unsigned char>(bytes[0]) * body.size() / 256] ^= bytes[1];
  check_arbitrary(damaged, encoding);
}

}  // namespace
}  // namespace millrace::http

// Any bytes are decompressed or refused within the limits, and what was compressed comes back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::http;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  check_arbitrary(bytes, "gzip");
  check_arbitrary(bytes, "zstd");
  check_round_trip(bytes, "gzip", gzip);
  check_round_trip(bytes, "zstd", zstd);
  return 0;
}
