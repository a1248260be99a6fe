#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "delta/delta_table.h"
#include "store/object_store.h"

namespace millrace::writer {

struct DedupeOptions {
  // How long after a batch another one under its key counts as the same; 0: never.
  std::chrono::milliseconds window{std::chrono::hours(1)};
  // Keys remembered for each table, about 100 bytes each. The oldest go first.
  std::size_t keys_max = 1'000'000;
};

// The keys under which batches came lately: those of one table, and those of entries that are on
// their way to it. Time is the batches' own received_at, never a clock: a journal that is read
// again tomorrow gives the same answers. Keys are kept as 128-bit hashes. One thread.
class BatchKeys {
 public:
  explicit BatchKeys(DedupeOptions options) : options_(options) {}

  // Makes contains() right for batches received at or after `received_at`: where that is needed,
  // refreshes the table and reads the keys of its files. Those that add() brought are kept.
  // Errors: unavailable (try again), corrupt.
  Result<void> load(store::ObjectStore& store, delta::DeltaTable& table, Timestamp received_at);

  // The table may hold more than was loaded: the next load() reads it again.
  void invalidate() { loaded_since_.reset(); }

  // Forgets all, also what add() brought.
  void clear();

  // Whether a batch came under `key` no longer than the window before `received_at`.
  bool contains(std::string_view key, Timestamp received_at) const;

  void add(std::string_view key, Timestamp received_at);

  // How far back the keys reach: the window, unless keys_max cuts it short.
  std::chrono::microseconds effective_window() const;

  std::size_t size() const { return latest_.size(); }

 private:
  struct Hash {
    std::uint64_t high;
    std::uint64_t low;
    bool operator==(const Hash&) const = default;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash& hash) const { return hash.low; }
  };
  struct Arrival {
    Hash key;
    Timestamp received_at;
  };

  static Hash hash_of(std::string_view key);
  bool remember(const Hash& key, Timestamp received_at);
  void sort_arrivals();
  void evict();

  DedupeOptions options_;
  std::unordered_map<Hash, Timestamp, HashOfHash> latest_;
  std::deque<Arrival> arrivals_;  // Oldest first. Those that came again are in it more than once.
  std::optional<Timestamp> loaded_since_;
  bool is_cut_short_ = false;  // keys_max has made it forget some.
};

}  // namespace millrace::writer
