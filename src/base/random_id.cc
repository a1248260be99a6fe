#include "base/random_id.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <sys/random.h>

#include "base/assert.h"

namespace millrace {

std::string random_uuid() {
  std::array<unsigned char, 16> bytes{};
  // Up to 256 bytes come whole or not at all once the kernel's pool is initialised.
  ssize_t count = -1;
  while (count < 0) {
    count = getrandom(bytes.data(), bytes.size(), 0);
    MR_ASSERT(count >= 0 || errno == EINTR);
  }
  MR_ASSERT(count == static_cast<ssize_t>(bytes.size()));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);

  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 0x0F];
  }
  return text;
}

}  // namespace millrace
