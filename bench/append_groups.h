#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <latch>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "journal/journal.h"

namespace millrace::journal {

// What is appended at once, before the first of it is waited for.
struct Group {
  std::size_t entries;
  std::size_t entry_bytes;
};

inline void report(benchmark::State& state, const Group& group) {
  const auto entries = state.iterations() * static_cast<std::int64_t>(group.entries);
  state.SetItemsProcessed(entries);
  state.SetBytesProcessed(entries * static_cast<std::int64_t>(group.entry_bytes));
}

// Appends one group for each round, each entry with `value`, and waits until it is durable.
inline void append_groups(benchmark::State& state, Appender& appender, const Group& group,
                          const std::string& value) {
  std::size_t failures = 0;
  for (auto round : state) {
    std::latch durable(static_cast<std::ptrdiff_t>(group.entries));
    // The values are made before, as a decoder has made them: moved, not copied.
    state.PauseTiming();
    std::vector<Entry> entries(group.entries, Entry{.value = value});
    state.ResumeTiming();
    for (Entry& entry : entries) {
      const auto taken = appender.append(std::move(entry), [&](const Result<Offset>& offset) {
        if (!offset) ++failures;
        durable.count_down();
      });
      MR_ASSERT(taken);
    }
    durable.wait();
  }
  MR_ASSERT(failures == 0);
  report(state, group);
}

}  // namespace millrace::journal
