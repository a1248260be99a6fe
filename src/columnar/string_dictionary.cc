#include "columnar/string_dictionary.h"

#include <cstring>
#include <random>

namespace millrace::columnar {
namespace {

constexpr std::int32_t empty_slot = -1;
constexpr std::size_t slots_min = 64;

__extension__ using Wide = unsigned __int128;

struct HashKey {
  std::uint64_t words[3];
};

const HashKey& hash_key() {
  static const HashKey key = [] {
    std::random_device device;
    HashKey made{};
    for (std::uint64_t& word : made.words) {
      word = (static_cast<std::uint64_t>(device()) << 32) | device();
    }
    return made;
  }();
  return key;
}

std::uint64_t fold(std::uint64_t left, std::uint64_t right) {
  const Wide product = static_cast<Wide>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <typename Word>
std::uint64_t load(const char* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Keyed multiply-and-fold over 16 bytes at a time; the last 16 may overlap the ones before.
std::uint32_t hash_of(std::string_view text) {
  const HashKey& key = hash_key();
  const char* bytes = text.data();
  std::size_t left = text.size();
  std::uint64_t state = key.words[0] ^ left;
  for (; left > 16; bytes += 16, left -= 16) {
    state = fold(load<std::uint64_t>(bytes) ^ key.words[1], load<std::uint64_t>(bytes + 8) ^ state);
  }
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  if (left >= 8) {
    first = load<std::uint64_t>(bytes);
    second = load<std::uint64_t>(bytes + left - 8);
  } else if (left >= 4) {
    first = load<std::uint32_t>(bytes);
    second = load<std::uint32_t>(bytes + left - 4);
  } else if (left > 0) {
    first = load<std::uint8_t>(bytes);
    second = load<std::uint8_t>(bytes + left / 2) << 8 | load<std::uint8_t>(bytes + left - 1);
  }
  state = fold(first ^ key.words[1], second ^ state);
  return static_cast<std::uint32_t>(fold(state ^ key.words[2], key.words[1]) >> 32);
}

}  // namespace

std::int32_t StringDictionary::id_of(std::string_view text) {
  if (last_id_ >= 0 && value(last_id_) == text) return last_id_;
  if (hashes_.size() * 2 >= slots_.size()) grow();

  const std::uint32_t hash = hash_of(text);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != empty_slot; slot = (slot + 1) & mask) {
    const std::int32_t id = slots_[slot];
    if (hashes_[static_cast<std::size_t>(id)] == hash && value(id) == text) {
      return last_id_ = id;
    }
  }
  last_id_ = static_cast<std::int32_t>(hashes_.size());
  slots_[slot] = last_id_;
  hashes_.push_back(hash);
  bytes_.append(text);
  starts_.push_back(bytes_.size());
  return last_id_;
}

void StringDictionary::grow() {
  slots_.assign(slots_.empty() ? slots_min : slots_.size() * 2, empty_slot);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < hashes_.size(); ++id) {
    std::size_t slot = hashes_[id] & mask;
    while (slots_[slot] != empty_slot) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::int32_t>(id);
  }
}

std::size_t StringDictionary::memory_bytes() const {
  return bytes_.capacity() + starts_.capacity() * sizeof starts_[0] +
         hashes_.capacity() * sizeof hashes_[0] + slots_.capacity() * sizeof slots_[0];
}

}  // namespace millrace::columnar
