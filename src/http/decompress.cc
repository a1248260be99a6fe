#include "http/decompress.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace millrace::http {

namespace {

constexpr std::size_t step_bytes = 256 * 1024;

// Grows in steps and says when it may not grow on.
class LimitedOutput {
 public:
  LimitedOutput(const DecompressionLimits& limits, std::size_t input_bytes)
      : limits_(limits), input_bytes_(input_bytes) {}

  // Room for more bytes; they count once they are kept.
  char* room() {
    bytes_.resize(size_ + step_bytes);
    return bytes_.data() + size_;
  }

  Result<void> keep(std::size_t size_bytes) {
    size_ += size_bytes;
    if (size_ > limits_.size_bytes_max) {
      return fail(Errc::exhausted, fmt::format("the decompressed body has more than {} bytes "
                                               "(http.body_decompressed_size_max)",
                                               limits_.size_bytes_max));
    }
    if (size_ > ratio_free_bytes &&
        size_ / std::max<std::size_t>(input_bytes_, 1) > limits_.ratio_max) {
      return fail(Errc::exhausted,
                  fmt::format("the body decompresses to more than {} times its size "
                              "(http.decompression_ratio_max)",
                              limits_.ratio_max));
    }
    return {};
  }

  std::string take() {
    bytes_.resize(size_);
    return std::move(bytes_);
  }

 private:
  const DecompressionLimits& limits_;
  const std::size_t input_bytes_;
  std::string bytes_;
  std::size_t size_ = 0;
};

tl::unexpected<Error> malformed(std::string_view encoding, std::string_view reason) {
  return fail(Errc::invalid_argument, fmt::format("the body is not {}: {}", encoding, reason));
}

Result<std::string> gunzip(const std::string& body, const DecompressionLimits& limits) {
  constexpr int window_bits_gzip = 15 + 16;
  z_stream stream{};
  if (inflateInit2(&stream, window_bits_gzip) != Z_OK) {
    return fail(Errc::exhausted, "no memory to decompress the body");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  LimitedOutput out(limits, body.size());
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  bool is_done = false;
  while (!is_done) {
    stream.next_out = reinterpret_cast<Bytef*>(out.room());
    stream.avail_out = step_bytes;
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) {
      const bool is_short = code == Z_BUF_ERROR && stream.avail_in == 0;
      return malformed("gzip", is_short     ? "it ends too early"
                               : stream.msg ? stream.msg
                                            : zError(code));
    }
    MR_TRY(out.keep(step_bytes - stream.avail_out));
    if (code != Z_STREAM_END) continue;
    // Another member may follow.
    is_done = stream.avail_in == 0;
    if (!is_done) inflateReset(&stream);
  }
  return out.take();
}

Result<std::string> unzstd(const std::string& body, const DecompressionLimits& limits) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        ZSTD_freeDCtx);
  if (!context) return fail(Errc::exhausted, "no memory to decompress the body");
  LimitedOutput out(limits, body.size());
  ZSTD_inBuffer input{body.data(), body.size(), 0};
  std::size_t missing = 1;
  while (input.pos < input.size || missing != 0) {
    ZSTD_outBuffer output{out.room(), step_bytes, 0};
    const std::size_t position = input.pos;
    missing = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(missing) != 0) return malformed("zstd", ZSTD_getErrorName(missing));
    MR_TRY(out.keep(output.pos));
    const bool is_stuck = input.pos == position && output.pos == 0;
    if (is_stuck && missing != 0) return malformed("zstd", "it ends too early");
  }
  return out.take();
}

}  // namespace

Result<std::string> decompress(std::string body, std::string_view encoding,
                               const DecompressionLimits& limits) {
  if (encoding.empty() || encoding == "identity") return body;
  if (encoding == "gzip" || encoding == "x-gzip") return gunzip(body, limits);
  if (encoding == "zstd") return unzstd(body, limits);
  return fail(Errc::not_found,
              fmt::format("Content-Encoding \"{}\" is not known (want gzip or zstd)", encoding));
}

}  // namespace millrace::http
