#include "record/json_text.h"

#include <cstdint>
#include <cstring>

namespace millrace::record {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out += "\\u00";
  out += hex_digits[byte >> 4];
  out += hex_digits[byte & 0xf];
}

// The four hex digits at `text`; -1: there are none.
std::int32_t take_code_unit(const char* text, const char* end) {
  if (end - text < 4) return -1;
  std::int32_t unit = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

char* put_utf8(char* out, std::uint32_t code_point) {
  const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
  return out;
}

// Reads what follows "\u" and moves `text` behind it. Negative: no escape.
std::int32_t take_code_point(const char*& text, const char* end) {
  constexpr std::int32_t replacement = 0xfffd;
  const std::int32_t unit = take_code_unit(text, end);
  if (unit < 0) return -1;
  text += 4;
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  if (unit > 0xdbff || end - text < 6 || text[0] != '\\' || text[1] != 'u') return replacement;
  const std::int32_t low = take_code_unit(text + 2, end);
  if (low < 0xdc00 || low > 0xdfff) return replacement;
  text += 6;
  return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

char unescaped(char c) {
  switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return '/';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return '\0';
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  const char* begin = text.data();
  const char* const end = begin + text.size();
  while (true) {
    const char* const special = find_json_special(begin, end);
    out.append(begin, special);
    if (special == end) break;
    append_escaped(out, *special);
    begin = special + 1;
  }
  out += '"';
}

char* unescape_json(std::string_view text, char* out) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  while (begin != end) {
    const auto* backslash =
        static_cast<const char*>(std::memchr(begin, '\\', static_cast<std::size_t>(end - begin)));
    const char* const plain_end = backslash == nullptr ? end : backslash;
    const auto plain_size = static_cast<std::size_t>(plain_end - begin);
    std::memcpy(out, begin, plain_size);
    out += plain_size;
    if (plain_end == end) break;

    begin = plain_end + 1;
    if (begin == end) return nullptr;
    const char escape = *begin++;
    if (escape == 'u') {
      const std::int32_t code_point = take_code_point(begin, end);
      if (code_point < 0) return nullptr;
      out = put_utf8(out, static_cast<std::uint32_t>(code_point));
    } else {
      const char c = unescaped(escape);
      if (c == '\0') return nullptr;
      *out++ = c;
    }
  }
  return out;
}

bool is_json_number(std::string_view text) {
  std::size_t at = 0;
  const auto has_digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at > begin;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const std::size_t integer_begin = at;
  if (!has_digits()) return false;
  if (text[integer_begin] == '0' && at - integer_begin > 1) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!has_digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!has_digits()) return false;
  }
  return at == text.size();
}

}  // namespace millrace::record
