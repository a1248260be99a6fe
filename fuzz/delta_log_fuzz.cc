#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "delta/delta_table.h"
#include "delta/testing/table_world.h"
#include "store/testing/memory_store.h"

namespace millrace::delta {
namespace {

using store::MemoryStore;

const Timestamp now(std::chrono::hours(24 * 20'000));

// Opening gives an error that says why, or a table that can be written, and read again.
void check_open(MemoryStore& store) {
  const ManualClock clock(now);
  auto table = DeltaTable::open(store, clock, "t");
  if (!table) {
    const Errc code = table.error().code;
    MR_ASSERT(code == Errc::corrupt || code == Errc::invalid_argument || code == Errc::not_found);
    MR_ASSERT(!table.error().message.empty());
    return;
  }
  const std::size_t files = table->snapshot().files.size();
  const bool is_there = table->snapshot().files.contains("new");
  const auto version = table->commit(commit_of("fuzz", std::nullopt, 5, "new"));
  if (!version) {
    MR_ASSERT(version.error().code == Errc::fenced);
    return;
  }
  const auto again = DeltaTable::open(store, clock, "t");
  MR_ASSERT(again.has_value() && again->snapshot().version == *version);
  MR_ASSERT(again->snapshot().files.size() == files + (is_there ? 0 : 1));
}

std::string entry_key(int version) { return fmt::format("t/_delta_log/{:020}.json", version); }

// The bytes as versions of a log that starts well, or that starts with them.
void check_entries(std::string_view bytes, bool starts_well) {
  MemoryStore store;
  int version = 0;
  if (starts_well) {
    const ManualClock clock(now);
    MR_ASSERT(DeltaTable::open_or_create(store, clock, "t", test_schema()).has_value());
    ++version;
  }
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\0'), bytes.size());
    MR_ASSERT(store.put(entry_key(version++), bytes.substr(0, end)).has_value());
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  check_open(store);
}

void check_checkpoint(std::string_view bytes) {
  MemoryStore store;
  MR_ASSERT(store.put("t/_delta_log/00000000000000000010.checkpoint.parquet", bytes).has_value());
  MR_ASSERT(store.put("t/_delta_log/_last_checkpoint", R"({"version":10,"size":1})").has_value());
  check_open(store);
}

}  // namespace
}  // namespace millrace::delta

// The bytes as JSON entries of a log, split at zero bytes, and as a checkpoint.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::delta;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("PAR1")) {
    check_checkpoint(bytes);
  } else {
    check_entries(bytes, true);
    check_entries(bytes, false);
  }
  return 0;
}
