#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"
#include "store/object_store.h"

namespace millrace::store {

// Objects in memory. Thread-safe. Has no local_files(): that is `unavailable`.
class MemoryStore final : public ObjectStore {
 public:
  Result<void> put(std::string_view key, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    objects_.insert_or_assign(std::string(key), std::string(bytes));
    return {};
  }

  Result<void> put_if_absent(std::string_view key, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    if (!objects_.emplace(key, bytes).second) return fail(Errc::already_exists, std::string(key));
    return {};
  }

  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override {
    return std::make_unique<Writer>(*this, std::string(key));
  }

  Result<std::string> get(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(key);
    if (it == objects_.end()) return fail(Errc::not_found, std::string(key));
    return it->second;
  }

  Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                std::uint64_t size_bytes) override {
    MR_TRY_ASSIGN(const std::string bytes, get(key));
    return bytes.substr(std::min<std::size_t>(offset_bytes, bytes.size()), size_bytes);
  }

  Result<ObjectInfo> head(std::string_view key) override {
    MR_TRY_ASSIGN(const std::string bytes, get(key));
    return ObjectInfo{std::string(key), bytes.size(), {}};
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                       std::string_view start_after = {}) override {
    const std::lock_guard lock(mutex_);
    std::vector<ObjectInfo> result;
    for (const auto& [key, bytes] : objects_) {
      if (key.starts_with(prefix) && key > start_after) result.push_back({key, bytes.size(), {}});
    }
    return result;
  }

  Result<void> remove(std::string_view key) override {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(key);
    if (it != objects_.end()) objects_.erase(it);
    return {};
  }

  Result<void> make_durable(std::string_view) override { return {}; }

  Result<std::vector<std::string>> list_folders(std::string_view prefix) override {
    MR_TRY_ASSIGN(const auto objects, list(prefix));
    std::vector<std::string> names;
    for (const auto& object : objects) {
      const auto end = object.key.find('/', prefix.size());
      if (end == std::string::npos) continue;
      std::string name = object.key.substr(prefix.size(), end - prefix.size());
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    return names;
  }

  Result<std::unique_ptr<LocalFiles>> local_files(const std::vector<ObjectSize>&,
                                                  const StopCheck&) override {
    return fail(Errc::unavailable, "the objects are in memory");
  }

  Result<std::size_t> remove_unfinished(std::string_view, Timestamp) override { return 0; }

 private:
  class Writer final : public ObjectWriter {
   public:
    Writer(MemoryStore& store, std::string key) : store_(store), key_(std::move(key)) {}
    Result<void> write(std::string_view bytes) override {
      bytes_ += bytes;
      return {};
    }
    Result<void> finish() override { return store_.put_if_absent(key_, bytes_); }

   private:
    MemoryStore& store_;
    const std::string key_;
    std::string bytes_;
  };

  std::mutex mutex_;  // Guards objects_.
  std::map<std::string, std::string, std::less<>> objects_;
};

}  // namespace millrace::store
