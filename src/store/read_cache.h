#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/stop_check.h"
#include "store/object_store.h"

namespace millrace::store {

// Copies of a remote store's immutable objects in a directory of this machine. Any number of
// processes may use one directory, each user's a part of their own; what a process that died was
// using is free again. Thread-safe.
//
// The copies of a user take `size_bytes_max` at most, those that are being fetched included: the
// ones that were used least recently make room, but none that is in use. A copy that is not as it
// was fetched (cut short, written to) is fetched again.
class ReadCache {
 public:
  // Creates the directory where it is missing. Errors: exhausted, unavailable.
  static Result<std::unique_ptr<ReadCache>> open(std::string directory,
                                                 std::uint64_t size_bytes_max);

  // Makes `objects` of `store` files, fetching those that are not there. `place` tells stores
  // apart that share the directory: "s3://bucket/prefix".
  // Errors: exhausted (they need more than there is, or than others leave: the message has the
  // sizes), corrupt (an object is not as large as it should be), unavailable (`stop` said so; any
  // thread may call it), and those of get_range().
  Result<std::unique_ptr<LocalFiles>> pin(ObjectStore& store, const std::string& place,
                                          const std::vector<ObjectSize>& objects,
                                          const StopCheck& stop);

 private:
  class Pinned;

  ReadCache(std::string directory, std::uint64_t size_bytes_max)
      : directory_(std::move(directory)), size_bytes_max_(size_bytes_max) {}

  Result<std::vector<ObjectSize>> reserve(const std::string& place,
                                          const std::vector<ObjectSize>& objects,
                                          const Pinned& pinned);
  Result<void> keep(const std::string& path, const std::string& copy);
  Result<void> make_room(std::uint64_t wanted_bytes);
  std::string copy_path(const std::string& place, const std::string& key) const;

  const std::string directory_;
  const std::uint64_t size_bytes_max_;
};

}  // namespace millrace::store
