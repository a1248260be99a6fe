#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/object_store.h"

namespace millrace::store {

// Passes every call on to `inner`, which must outlive it: for fakes that change a few of them.
class ForwardingStore : public ObjectStore {
 public:
  explicit ForwardingStore(ObjectStore& inner) : inner_(inner) {}

  Result<void> put(std::string_view key, std::string_view bytes) override {
    return inner_.put(key, bytes);
  }
  Result<void> put_if_absent(std::string_view key, std::string_view bytes) override {
    return inner_.put_if_absent(key, bytes);
  }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override {
    return inner_.create(key);
  }
  Result<std::string> get(std::string_view key) override { return inner_.get(key); }
  Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                std::uint64_t size_bytes) override {
    return inner_.get_range(key, offset_bytes, size_bytes);
  }
  Result<ObjectInfo> head(std::string_view key) override { return inner_.head(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                       std::string_view start_after = {}) override {
    return inner_.list(prefix, start_after);
  }
  Result<std::vector<std::string>> list_folders(std::string_view prefix) override {
    return inner_.list_folders(prefix);
  }
  Result<void> remove(std::string_view key) override { return inner_.remove(key); }
  Result<void> make_durable(std::string_view prefix) override {
    return inner_.make_durable(prefix);
  }
  Result<std::unique_ptr<LocalFiles>> local_files(const std::vector<ObjectSize>& objects,
                                                  const StopCheck& stop) override {
    return inner_.local_files(objects, stop);
  }
  Result<std::size_t> remove_unfinished(std::string_view prefix, Timestamp until) override {
    return inner_.remove_unfinished(prefix, until);
  }

 private:
  ObjectStore& inner_;
};

}  // namespace millrace::store
