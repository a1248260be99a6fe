#include "journal/group_commit.h"

#include <fmt/format.h>
#include <pthread.h>

#include <utility>

#include "base/log.h"
#include "base/units.h"
#include "journal/segment_format.h"

namespace millrace::journal {

GroupCommit::GroupCommit(const EmbeddedJournalOptions& options, SegmentLog& log,
                         MetricsRegistry& metrics, std::function<void()> on_durable)
    : options_(options),
      log_(log),
      on_durable_(std::move(on_durable)),
      entries_(metrics.counter("millrace_journal_entries_appended_total",
                               "Entries that were made durable.")),
      bytes_(metrics.counter("millrace_journal_appended_bytes_total",
                             "Bytes of the entries that were made durable.")),
      failures_(metrics.counter("millrace_journal_append_failures_total",
                                "Groups of entries that could not be made durable.")),
      duration_(metrics.histogram("millrace_journal_commit_duration_seconds",
                                  "How long writing and syncing a group of entries took.",
                                  duration_seconds_buckets())),
      size_(metrics.gauge("millrace_journal_size_bytes", "Size of all segments.")),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "journal");
  size_.set(static_cast<double>(log_.size_bytes()));
  metrics.gauge("millrace_journal_size_max_bytes", "The limit of that: journal.size_max.")
      .set(static_cast<double>(options_.journal_size_bytes_max));
}

Result<void> GroupCommit::append(Entry entry, OnDurable on_durable) {
  const std::size_t size_bytes = encoded_size_bytes(entry);
  if (size_bytes > options_.entry_size_bytes_max) {
    return fail(Errc::invalid_argument,
                fmt::format("the batch has {} bytes in its stored form, more than the limit of {} "
                            "(journal.entry_size_max): send fewer records at once",
                            size_bytes, options_.entry_size_bytes_max));
  }
  if (!has_room_for(size_bytes)) {
    refused_bytes_ = size_bytes;
    return fail(Errc::exhausted, full_message());
  }
  EncodedEntry encoded = encode_entry(std::move(entry));
  const std::lock_guard lock(mutex_);
  if (closed_) return fail(Errc::unavailable, "the journal is closed");
  const bool fits = waiting_.size_bytes + size_bytes <= options_.queue_size_bytes_max;
  if (!waiting_.entries.empty() && !fits) {
    return fail(Errc::exhausted, "too many entries wait for the disk (journal.queue_size_max)");
  }
  waiting_.size_bytes += size_bytes;
  waiting_.entries.push_back(std::move(encoded));
  waiting_.callbacks.push_back(std::move(on_durable));
  // Only the first of a group finds the thread asleep.
  if (waiting_.entries.size() == 1) changed_.notify_one();
  return {};
}

std::optional<std::string> GroupCommit::failure() const {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return failure_;
  }
  // Once an entry was refused, ready means that there is room for one like it.
  if (has_room_for(refused_bytes_)) return std::nullopt;
  return full_message();
}

bool GroupCommit::has_room_for(std::size_t size_bytes) const {
  return log_.size_bytes() + size_bytes <= options_.journal_size_bytes_max;
}

std::string GroupCommit::full_message() const {
  return fmt::format(
      "the journal is full: it holds {} of {} (journal.size_max) that the tables do not have yet",
      format_size(log_.size_bytes()), format_size(options_.journal_size_bytes_max));
}

void GroupCommit::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void GroupCommit::run() {
  while (true) {
    Waiting group;
    bool is_failing = false;
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] { return closed_ || !waiting_.entries.empty(); };
      is_failing = failure_.has_value();
      if (is_failing) {
        changed_.wait_for(lock, options_.probe_interval, has_work);
      } else {
        changed_.wait(lock, has_work);
      }
      if (closed_ && waiting_.entries.empty()) return;
      group = std::exchange(waiting_, {});
    }
    if (group.entries.empty()) {
      probe();
    } else {
      commit(std::move(group));
    }
  }
}

void GroupCommit::commit(Waiting group) {
  const auto start = std::chrono::steady_clock::now();
  const auto first = log_.append(group.entries);
  duration_.observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  note(first ? nullptr : &first.error());
  if (first) {
    entries_.add(static_cast<double>(group.entries.size()));
    bytes_.add(static_cast<double>(group.size_bytes));
    size_.set(static_cast<double>(log_.size_bytes()));
    on_durable_();
  }
  for (std::size_t i = 0; i < group.callbacks.size(); ++i) {
    if (first) {
      group.callbacks[i](Offset(first->value() + static_cast<std::int64_t>(i)));
    } else {
      group.callbacks[i](tl::unexpected(first.error()));
    }
  }
}

// A load balancer that saw the failure sends nothing any more: somebody has to find out that it is
// over.
void GroupCommit::probe() {
  const auto probed = log_.probe();
  note(probed ? nullptr : &probed.error());
}

void GroupCommit::note(const Error* error) {
  const std::lock_guard lock(mutex_);
  if (error != nullptr) {
    failures_.add();
    if (!failure_) {
      log(LogLevel::error, "journal: appending failed; clients get 503 until it works again",
          {{"reason", error->message}});
    }
    failure_ = error->message;
  } else if (failure_) {
    log(LogLevel::info, "journal: appending works again");
    failure_.reset();
  }
}

}  // namespace millrace::journal
