#include "http/decompress.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace millrace::http {
namespace {

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1));
  return out;
}

using Kind = DecompressionFailure::Kind;

constexpr DecompressionLimits wide{1UL << 30, 1UL << 30};

struct Encoding {
  const char* name;
  std::string (*compress)(const std::string&);
};

class Decompress : public testing::TestWithParam<Encoding> {};
INSTANTIATE_TEST_SUITE_P(, Decompress,
                         testing::Values(Encoding{"gzip", gzip}, Encoding{"zstd", zstd}),
                         [](const auto& test) { return test.param.name; });

TEST_P(Decompress, GivesBackWhatWasCompressed) {
  const auto [name, compress] = GetParam();
  for (const std::size_t size : {0UL, 1UL, 262'144UL, 262'145UL, 3'000'000UL}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * i >> 7);
    EXPECT_EQ(decompress(compress(bytes), name, wide), bytes) << size;
    EXPECT_EQ(decompress(compress(bytes) + compress("tail"), name, wide), bytes + "tail");
  }
}

TEST_P(Decompress, RefusesWhatIsCutOrIsSomethingElse) {
  const auto [name, compress] = GetParam();
  const std::string whole = compress(std::string(1000, 'x') + "y");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto result = decompress(whole.substr(0, size), name, wide);
    ASSERT_FALSE(result) << size;
    EXPECT_EQ(result.error().kind, Kind::malformed);
  }
  EXPECT_FALSE(decompress("[{}]", name, wide));
  EXPECT_FALSE(decompress(whole + "more", name, wide));
}

TEST_P(Decompress, StopsAtItsLimits) {
  const auto [name, compress] = GetParam();
  constexpr std::size_t size = 4 << 20;
  const std::string bomb = compress(std::string(size, '\0'));
  EXPECT_TRUE(decompress(bomb, name, {size, 1UL << 30}));
  const auto too_large = decompress(bomb, name, {size - 1, 1UL << 30});
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().kind, Kind::too_large);
  EXPECT_EQ(too_large.error().limit, size - 1);

  const std::size_t ratio = (size + bomb.size() - 1) / bomb.size();
  EXPECT_TRUE(decompress(bomb, name, {1UL << 30, ratio}));
  const auto too_dense = decompress(bomb, name, {1UL << 30, ratio - 1});
  ASSERT_FALSE(too_dense);
  EXPECT_EQ(too_dense.error().kind, Kind::too_large);
  EXPECT_EQ(too_dense.error().limit, ratio - 1);
  EXPECT_TRUE(decompress(compress(std::string(ratio_free_bytes, '\0')), name, {1UL << 30, 1}))
      << "small bodies may compress as well as they like";
}

TEST(DecompressZstd, GrantsNoWindowThatTheLimitsCannotFill) {
  // A frame of one empty raw block that wants 128 MiB to look back on.
  const std::string frame("\x28\xB5\x2F\xFD\x00\x88\x01\x00\x00", 9);
  EXPECT_EQ(decompress(frame, "zstd", wide), "");
  const auto refused = decompress(frame, "zstd", {64 << 20, 200});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::too_large);
}

TEST(DecompressEncoding, IsKnownOrRefused) {
  EXPECT_EQ(decompress("x", "", wide), "x");
  EXPECT_FALSE(is_known_encoding("br"));
  EXPECT_EQ(decompress("x", "br", wide).error().kind, Kind::unknown_encoding);
}

}  // namespace
}  // namespace millrace::http
