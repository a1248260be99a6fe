#pragma once

#include <memory>
#include <string>

#include "store/object_store.h"

namespace millrace::store {

// Objects as files below a directory: a key is a path. Any number of processes may use one
// directory.
//
// An object is written under a name in `.tmp`, synced, and then linked or renamed to its own, so
// that it appears whole; the directory is synced before the call returns. What a crash leaves in
// `.tmp` is never listed, and removed by a later open() once it is an hour old.
class LocalStore final : public ObjectStore {
 public:
  // Creates the directory where it is missing.
  // Errors: exhausted, unavailable (cannot create it, or write there: the message says why).
  static Result<std::unique_ptr<LocalStore>> open(std::string root);

  // As open(), for reading only: nothing is created, and writes fail.
  // Errors: not_found.
  static Result<std::unique_ptr<LocalStore>> open_read_only(std::string root);

  Result<void> put(std::string_view key, std::string_view bytes) override;
  Result<void> put_if_absent(std::string_view key, std::string_view bytes) override;
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                std::uint64_t size_bytes) override;
  Result<ObjectInfo> head(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                       std::string_view start_after = {}) override;
  Result<void> remove(std::string_view key) override;
  Result<void> make_durable(std::string_view prefix) override;
  Result<std::vector<std::string>> list_folders(std::string_view prefix) override;
  Result<std::unique_ptr<LocalFiles>> local_files(const std::vector<ObjectSize>& objects,
                                                  const StopCheck& stop) override;
  Result<std::size_t> remove_unfinished(std::string_view prefix, Timestamp until) override;

 private:
  explicit LocalStore(std::string root) : root_(std::move(root)) {}

  Result<std::string> path_of(std::string_view key) const;

  const std::string root_;
};

}  // namespace millrace::store
