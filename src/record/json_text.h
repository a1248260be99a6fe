#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace millrace::record {

// The inside of JSON strings and numbers, for those who read or write JSON without a parser.

namespace detail {
constexpr std::array<bool, 256> make_json_special() {
  std::array<bool, 256> special{};
  for (std::size_t c = 0; c < 0x20; ++c) special[c] = true;
  special['"'] = true;
  special['\\'] = true;
  return special;
}
inline constexpr std::array<bool, 256> json_special = make_json_special();
}  // namespace detail

// The first byte that cannot stand for itself in a JSON string (a quote, a backslash, a control
// character); `end` if there is none.
inline const char* find_json_special(const char* begin, const char* end) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i control_max = _mm_set1_epi8(0x1f);
  for (; end - begin >= 16; begin += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
    const __m128i is_special =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes));
    const int mask = _mm_movemask_epi8(is_special);
    if (mask != 0) return begin + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  for (; begin != end; ++begin) {
    if (detail::json_special[static_cast<unsigned char>(*begin)]) return begin;
  }
  return end;
}

// Appends `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

// Undoes the escapes of `text`, the inside of a JSON string, and writes the result to `out`, which
// has room for text.size() bytes. A \u escape of one half of a surrogate pair, which stands for no
// character, becomes U+FFFD. Returns the end of what was written; nullptr: an escape that JSON does
// not know.
char* unescape_json(std::string_view text, char* out);

// Whether `text` is a number by the grammar of RFC 8259.
bool is_json_number(std::string_view text);

}  // namespace millrace::record
