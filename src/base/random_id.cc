#include "base/random_id.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <sys/random.h>

#include "base/assert.h"

namespace millrace {

namespace {

// The kernel's randomness for 16 ids at a time: asking for each was a twentieth of a small request.
class RandomPool {
 public:
  using Bytes = std::array<unsigned char, 16>;

  Bytes take() {
    if (next_ == pool_.size()) refill();
    return pool_[next_++];
  }

 private:
  void refill() {
    // Up to 256 bytes come whole or not at all once the kernel's pool is initialised.
    static_assert(sizeof pool_ == 256);
    ssize_t count = -1;
    while (count < 0) {
      count = getrandom(pool_.data(), sizeof pool_, 0);
      MR_ASSERT(count >= 0 || errno == EINTR);
    }
    MR_ASSERT(count == static_cast<ssize_t>(sizeof pool_));
    next_ = 0;
  }

  std::array<Bytes, 16> pool_{};
  std::size_t next_ = pool_.size();
};

}  // namespace

std::string random_uuid() {
  static thread_local RandomPool pool;
  RandomPool::Bytes bytes = pool.take();
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
