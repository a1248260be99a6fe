#include "journal/segment_format.h"

#include <gtest/gtest.h>

#include <random>

#include "journal/crc32c.h"

namespace millrace::journal {
namespace {

std::string stored_bytes(Entry entry, Offset offset) {
  EncodedEntry encoded = encode_entry(std::move(entry));
  seal_entry(encoded, offset);
  return encoded.front + encoded.value;
}

// RFC 3720, appendix B.4.
TEST(Crc32c, AgreesWithThePublishedVectors) {
  std::string ascending(32, '\0');
  for (int i = 0; i < 32; ++i) ascending[static_cast<std::size_t>(i)] = static_cast<char>(i);
  const std::string descending(ascending.rbegin(), ascending.rend());
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(ascending), 0x46DD794EU);
  EXPECT_EQ(crc32c(descending), 0x113FDB5CU);
  for (std::size_t size = 0; size < 40; ++size) {
    const std::string bytes(size, 'x');
    EXPECT_EQ(crc32c(bytes), crc32c_by_table(bytes)) << size;
  }
}

TEST(Crc32c, IsTheSameOfLargeBytesAndOfTheirParts) {
  std::mt19937 random(1);
  std::string bytes(100'000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (const std::size_t size : {16'383U, 16'384U, 16'385U, 16'391U, 50'001U, 100'000U}) {
    const std::string_view whole = std::string_view(bytes).substr(0, size);
    EXPECT_EQ(crc32c(whole), crc32c_by_table(whole)) << size;
    for (const std::size_t cut : {std::size_t{0}, std::size_t{7}, size / 2, size}) {
      EXPECT_EQ(crc32c(whole.substr(cut), crc32c(whole.substr(0, cut))), crc32c(whole)) << size;
    }
  }
}

TEST(SegmentHeader, ReadsBack) {
  const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";
  std::string bytes = encode_segment_header({id, Offset(7)});
  const auto header = decode_segment_header(bytes);
  EXPECT_EQ(header->journal_id, id);
  EXPECT_EQ(header->first, Offset(7));
  bytes[20] = static_cast<char>(bytes[20] ^ 1);
  EXPECT_FALSE(decode_segment_header(bytes));
}

TEST(SegmentEntry, ReadsBack) {
  const Entry entry{"key", std::string("va\0lue", 6), {{"a", "1"}, {"a", ""}, {"", "x"}}};
  const std::string bytes = stored_bytes(entry, Offset(99));
  EXPECT_EQ(bytes.size(), encoded_size_bytes(entry));
  const std::string stored = bytes + "behind";
  const DecodedEntry decoded = decode_entry(stored);
  ASSERT_EQ(decoded.kind, DecodedEntry::Kind::entry);
  EXPECT_EQ(decoded.offset, Offset(99));
  EXPECT_EQ(decoded.size_bytes, bytes.size());
  const auto read = decode_payload(decoded.payload);
  EXPECT_EQ(read->key, entry.key);
  EXPECT_EQ(read->value, entry.value);
  EXPECT_EQ(read->headers, entry.headers);
}

TEST(SegmentEntry, NoFlippedBitGoesUnnoticed) {
  const std::string bytes = stored_bytes({"k", "value", {{"h", "v"}}}, Offset(1));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(decode_entry(damaged).kind, DecodedEntry::Kind::entry) << "bit " << bit;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(decode_entry(std::string_view(bytes).substr(0, size)).kind,
              DecodedEntry::Kind::entry);
  }
}

}  // namespace
}  // namespace millrace::journal
