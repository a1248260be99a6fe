#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "store/testing/forwarding_store.h"

namespace millrace::store {

enum class Fault { before_effect, after_effect };

// Passes calls through to `inner`, except that call number `fail_at_call` (from 0; writers' calls
// count too) is reported unavailable. The fault model: one call fails, either without any effect
// (the request was lost) or with its whole effect (the answer was lost), and every call after it
// works. Of a write that took effect without an answer, nobody knows whether it is durable.
// `inner` must outlive this and its writers. Thread-safe where `inner` is.
class FaultyStore final : public ForwardingStore {
 public:
  FaultyStore(ObjectStore& inner, int fail_at_call, Fault fault)
      : ForwardingStore(inner), inner_(inner), fail_at_call_(fail_at_call), fault_(fault) {}

  Result<void> put(std::string_view key, std::string_view bytes) override {
    return faulted<void>([&] { return inner_.put(key, bytes); }, key);
  }
  Result<void> put_if_absent(std::string_view key, std::string_view bytes) override {
    return faulted<void>([&] { return inner_.put_if_absent(key, bytes); }, key);
  }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override {
    return faulted<std::unique_ptr<ObjectWriter>>([&]() -> Result<std::unique_ptr<ObjectWriter>> {
      MR_TRY_ASSIGN(auto writer, inner_.create(key));
      return std::make_unique<Writer>(*this, std::move(writer));
    });
  }
  Result<std::string> get(std::string_view key) override {
    return faulted<std::string>([&] { return inner_.get(key); });
  }
  Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                std::uint64_t size_bytes) override {
    return faulted<std::string>([&] { return inner_.get_range(key, offset_bytes, size_bytes); });
  }
  Result<ObjectInfo> head(std::string_view key) override {
    return faulted<ObjectInfo>([&] { return inner_.head(key); });
  }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                       std::string_view start_after = {}) override {
    return faulted<std::vector<ObjectInfo>>([&] { return inner_.list(prefix, start_after); });
  }
  Result<void> remove(std::string_view key) override {
    return faulted<void>([&] { return inner_.remove(key); });
  }
  Result<void> make_durable(std::string_view prefix) override {
    return faulted<void>([&] {
      const std::lock_guard lock(mutex_);
      std::erase_if(not_durable_, [&](const std::string& key) { return key.starts_with(prefix); });
      return inner_.make_durable(prefix);
    });
  }

  int call_count() const { return call_count_; }

  // Keys that a power cut could take away.
  std::set<std::string> not_durable() const {
    const std::lock_guard lock(mutex_);
    return not_durable_;
  }

 private:
  class Writer final : public ObjectWriter {
   public:
    Writer(FaultyStore& store, std::unique_ptr<ObjectWriter> inner)
        : store_(store), inner_(std::move(inner)) {}
    Result<void> write(std::string_view bytes) override {
      return store_.faulted<void>([&] { return inner_->write(bytes); });
    }
    Result<void> finish() override {
      return store_.faulted<void>([&] { return inner_->finish(); });
    }

   private:
    FaultyStore& store_;
    std::unique_ptr<ObjectWriter> inner_;
  };

  template <typename T, typename Call>
  Result<T> faulted(Call call, std::string_view written_key = {}) {
    const bool fails = call_count_++ == fail_at_call_;
    if (!fails) return call();
    if (fault_ == Fault::after_effect) {
      static_cast<void>(call());
      const std::lock_guard lock(mutex_);
      if (!written_key.empty()) not_durable_.emplace(written_key);
    }
    return fail(Errc::unavailable, "injected");
  }

  ObjectStore& inner_;
  const int fail_at_call_;
  const Fault fault_;
  std::atomic<int> call_count_{0};
  mutable std::mutex mutex_;  // Guards not_durable_.
  std::set<std::string> not_durable_;
};

}  // namespace millrace::store
