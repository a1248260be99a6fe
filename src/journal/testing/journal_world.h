#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/testing/temp_directory.h"
#include "journal/embedded_journal.h"

namespace millrace::journal {

// Starts where it is told and takes what comes.
class PlainListener final : public Consumer::Listener {
 public:
  explicit PlainListener(std::optional<Offset> start = std::nullopt) : start_(start) {}

  Result<std::vector<std::optional<Offset>>> on_assigned(
      const std::vector<Partition>& partitions) override {
    return std::vector<std::optional<Offset>>(partitions.size(), start_);
  }
  void on_revoked(const std::vector<Partition>&) override {}
  void on_lost(const std::vector<Partition>&) override {}

 private:
  std::optional<Offset> start_;
};

inline Entry entry_of(std::string value) {
  return {.key = "k", .value = std::move(value), .headers = {{"h", "v"}}};
}

// Appends and waits for the answer.
inline Result<Offset> append_and_wait(Appender& appender, std::string value) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<Offset>> answer;
  const auto taken = appender.append(entry_of(std::move(value)), [&](Result<Offset> result) {
    const std::lock_guard lock(mutex);
    answer = std::move(result);
    changed.notify_one();
  });
  if (!taken) return tl::unexpected(taken.error());
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return answer.has_value(); });
  return *answer;
}

// What a consumer that starts at `start` reads now: values, and "!" for what does not check.
inline Result<std::vector<std::string>> read_values(EmbeddedJournal& journal,
                                                    std::optional<Offset> start = std::nullopt) {
  PlainListener listener(start);
  MR_TRY_ASSIGN(auto consumer, journal.open_consumer(listener));
  std::vector<std::string> values;
  bool was_unavailable = false;
  while (true) {
    auto entries = consumer->poll(std::chrono::milliseconds(0));
    if (!entries && entries.error().code != Errc::corrupt && !was_unavailable) {
      was_unavailable = true;  // Once, as a writer that tries again.
      continue;
    }
    if (!entries) return tl::unexpected(std::move(entries).error());
    if (entries->empty()) return values;
    for (const auto& entry : *entries) {
      values.push_back(entry.corrupt_reason ? "!" : entry.entry.value);
    }
  }
}

}  // namespace millrace::journal
