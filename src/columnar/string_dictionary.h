#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::columnar {

// The distinct values of a string column, numbered from 0 in the order they first came. Senders
// choose the values, so the hash is keyed with a random number of this process: nobody can
// prepare values that collide. One thread.
class StringDictionary {
 public:
  // The number of `value`, which is new where it was not yet there.
  std::int32_t id_of(std::string_view value);

  // Borrowed until the next id_of().
  std::string_view value(std::int32_t id) const {
    const auto index = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(starts_[index], starts_[index + 1] - starts_[index]);
  }

  std::size_t size() const { return hashes_.size(); }
  std::size_t memory_bytes() const;

 private:
  void grow();

  std::string bytes_;                      // All values, end to end.
  std::vector<std::size_t> starts_ = {0};  // Of each value in bytes_, and the end of the last.
  std::vector<std::uint32_t> hashes_;      // Of each value.
  std::vector<std::int32_t> slots_;        // Open addressing; empty_slot or an id.
  std::int32_t last_id_ = -1;              // Runs of one value are common: looked at first.
};

}  // namespace millrace::columnar
