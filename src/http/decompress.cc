#include "http/decompress.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

#include "base/result.h"

namespace millrace::http {

namespace {

constexpr std::size_t step_bytes = 256 * 1024;

using Kind = DecompressionFailure::Kind;
template <typename T>
using Expected = tl::expected<T, DecompressionFailure>;

tl::unexpected<DecompressionFailure> failed(Kind kind, std::string message,
                                            std::optional<std::size_t> limit = std::nullopt) {
  return tl::unexpected(DecompressionFailure{kind, std::move(message), limit});
}

tl::unexpected<DecompressionFailure> malformed(std::string_view encoding, std::string_view reason) {
  return failed(Kind::malformed, fmt::format("the body is not {}: {}", encoding, reason));
}

tl::unexpected<DecompressionFailure> no_memory() {
  return failed(Kind::no_memory, "no memory to decompress the body");
}

// Grows in steps and says when it may not grow on.
class LimitedOutput {
 public:
  LimitedOutput(const DecompressionLimits& limits, std::size_t input_bytes)
      : limits_(limits), input_bytes_(std::max<std::size_t>(input_bytes, 1)) {}

  // Room for more bytes; they count once they are kept.
  char* room() {
    bytes_.resize(size_ + step_bytes);
    return bytes_.data() + size_;
  }

  Expected<void> keep(std::size_t size_bytes) {
    size_ += size_bytes;
    if (size_ > limits_.size_bytes_max) {
      return failed(
          Kind::too_large,
          fmt::format(
              "the decompressed body has more than {} bytes (http.body_decompressed_size_max)",
              limits_.size_bytes_max),
          limits_.size_bytes_max);
    }
    // Rounded up, so that one byte beyond the limit is beyond it.
    const std::size_t ratio = (size_ + input_bytes_ - 1) / input_bytes_;
    if (size_ > ratio_free_bytes && ratio > limits_.ratio_max) {
      return failed(
          Kind::too_large,
          fmt::format(
              "the body decompresses to more than {} times its size (http.decompression_ratio_max)",
              limits_.ratio_max),
          limits_.ratio_max);
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

Expected<std::string> gunzip(const std::string& body, const DecompressionLimits& limits) {
  constexpr int window_bits_gzip = 15 + 16;
  z_stream stream{};
  if (inflateInit2(&stream, window_bits_gzip) != Z_OK) return no_memory();
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

Expected<std::string> unzstd(const std::string& body, const DecompressionLimits& limits) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        ZSTD_freeDCtx);
  if (!context) return no_memory();
  // A frame says how much it wants to look back on, and that much is allocated. 8 MiB is what all
  // decoders should grant (RFC 8878, section 3.1.1.1.2).
  const int window_log_max = std::clamp(
      static_cast<int>(std::bit_width(std::max<std::size_t>(limits.size_bytes_max, 1) - 1)), 23,
      27);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log_max);
  LimitedOutput out(limits, body.size());
  ZSTD_inBuffer input{body.data(), body.size(), 0};
  std::size_t missing = 1;
  while (input.pos < input.size || missing != 0) {
    ZSTD_outBuffer output{out.room(), step_bytes, 0};
    const std::size_t position = input.pos;
    missing = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_getErrorCode(missing) == ZSTD_error_frameParameter_windowTooLarge) {
      const std::size_t window_bytes_max = std::size_t{1} << window_log_max;
      return failed(Kind::too_large,
                    fmt::format("the zstd window has more than {} bytes", window_bytes_max),
                    window_bytes_max);
    }
    if (ZSTD_isError(missing) != 0) return malformed("zstd", ZSTD_getErrorName(missing));
    MR_TRY(out.keep(output.pos));
    const bool is_stuck = input.pos == position && output.pos == 0;
    if (is_stuck && missing != 0) return malformed("zstd", "it ends too early");
  }
  return out.take();
}

}  // namespace

bool is_known_encoding(std::string_view encoding) {
  return encoding.empty() || encoding == "gzip" || encoding == "x-gzip" || encoding == "zstd";
}

tl::expected<std::string, DecompressionFailure> decompress(std::string body,
                                                           std::string_view encoding,
                                                           const DecompressionLimits& limits) {
  if (!is_known_encoding(encoding)) {
    return failed(
        Kind::unknown_encoding,
        fmt::format("Content-Encoding \"{}\" is not known (want gzip or zstd)", encoding));
  }
  if (encoding.empty()) return body;
  return encoding == "zstd" ? unzstd(body, limits) : gunzip(body, limits);
}

}  // namespace millrace::http
