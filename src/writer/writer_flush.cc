#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "writer/writer.h"

// Writing: from rows in memory to commits. writer.cc is the other half.
namespace millrace::writer {
namespace {

constexpr int dead_letter_attempts_max = 5;

// Far less than the least time after which a vacuum takes files that no commit names.
constexpr std::chrono::hours owed_files_age_max(6);

}  // namespace

Result<void> Writer::flush() {
  if (progress_since(&PartitionState::access_logs_start).empty()) return {};
  is_flush_owed_ = true;
  MR_TRY(flush_dead_letters());
  return flush_access_logs();
}

Result<void> Writer::flush_dead_letters() {
  for (int attempt = 0; attempt < dead_letter_attempts_max; ++attempt) {
    if (are_dead_letter_starts_stale_) {
      MR_TRY(dead_letters_.refresh());
      MR_TRY(dead_letters_.make_durable());
      read_starts(dead_letters_, &PartitionState::dead_letters_start);
      are_dead_letter_starts_stale_ = false;
      drop_known_dead_letters();
    }
    if (letters_.empty()) return {};
    MR_TRY_ASSIGN(const bool is_committed, commit_dead_letters());
    if (is_committed) return {};
  }
  return fail(Errc::conflict, fmt::format("table dead_letters: fenced {} times in a row",
                                          dead_letter_attempts_max));
}

Result<bool> Writer::commit_dead_letters() {
  for (const DeadLetter& letter : letters_) append_dead_letter(letter, dead_letter_files_);
  if (auto finished = dead_letter_files_.finish(); !finished) {
    dead_letter_files_.discard();
    return tl::unexpected(std::move(finished).error());
  }
  const auto committed = timed_commit(
      dead_letters_, {.operation = "WRITE",
                      .adds = dead_letter_files_.files(),
                      .removes = {},
                      .progress = progress_since(&PartitionState::dead_letters_start)});
  if (!committed) {
    // Whatever happened, the table's own position tells which letters are left to commit.
    are_dead_letter_starts_stale_ = true;
    if (committed.error().code == Errc::unavailable) {
      dead_letter_files_.release();
    } else {
      dead_letter_files_.discard();
    }
    if (committed.error().code != Errc::fenced) return tl::unexpected(committed.error());
    metrics_.was_fenced();
    log(LogLevel::warn, "writer: another writer was ahead with dead letters",
        {{"error", committed.error().message}});
    return false;
  }
  crash_point("writer.after_dead_letters_commit");
  for (auto& [partition, state] : partitions_) {
    if (state.next) {
      state.dead_letters_start =
          std::max(state.dead_letters_start.value_or(0), state.next->value());
    }
  }
  metrics_.dead_letters_committed(letters_.size());
  dead_letter_files_.release();
  letters_.clear();
  letters_bytes_ = 0;
  return true;
}

Result<void> Writer::flush_access_logs() {
  const auto started = clock_->monotonic_now();
  MR_TRY(access_files_.finish());
  if (are_owed_files_old()) {
    drop_owed_flush();
    return {};
  }
  const auto progress = progress_since(&PartitionState::access_logs_start);
  auto committed = Result<bool>(false);
  if (is_access_outcome_unknown_) committed = is_committed_after_all(progress);
  if (committed && !*committed) {
    const auto answer = timed_commit(
        access_logs_,
        {.operation = "WRITE", .adds = access_files_.files(), .removes = {}, .progress = progress});
    if (answer) {
      committed = true;
    } else {
      committed = tl::unexpected(answer.error());
    }
  }
  if (committed) {
    metrics_.flush_took(clock_->monotonic_now() - started);
    access_logs_committed();
    return {};
  }
  if (committed.error().code == Errc::fenced) {
    fenced(committed.error());
    return {};
  }
  if (committed.error().code == Errc::unavailable) is_access_outcome_unknown_ = true;
  return tl::unexpected(committed.error());
}

// Files that no commit names are deleted one day: those of a flush that has been owed for long may
// be gone. What they hold is in the journal still.
bool Writer::are_owed_files_old() const {
  const Timestamp oldest = clock_->now() - owed_files_age_max;
  return std::any_of(access_files_.files().begin(), access_files_.files().end(),
                     [oldest](const delta::AddFile& file) { return file.modified < oldest; });
}

void Writer::drop_owed_flush() {
  log(LogLevel::warn, "writer: a flush has been owed for too long; reading its entries again",
      {{"records_dropped", records_}});
  drop_all();
  is_rewind_needed_ = true;
}

Result<bool> Writer::is_committed_after_all(const std::vector<delta::Progress>& progress) {
  MR_TRY(access_logs_.refresh());
  std::size_t at_start = 0;
  std::size_t at_end = 0;
  for (const delta::Progress& step : progress) {
    const auto position = position_in(access_logs_, step.progress_id);
    if (position == step.start) ++at_start;
    if (position == step.end) ++at_end;
  }
  if (at_end == progress.size()) {
    MR_TRY(access_logs_.make_durable());
    return true;
  }
  if (at_start == progress.size()) return false;
  return fail(Errc::fenced, "table access_logs: another writer has moved the position");
}

Result<void> Writer::timed_commit(delta::DeltaTable& table, const delta::Commit& commit) {
  const auto started = clock_->monotonic_now();
  MR_TRY(table.commit(commit));
  metrics_.commit_took(clock_->monotonic_now() - started);
  return {};
}

void Writer::access_logs_committed() {
  crash_point("writer.after_table_commit");
  for (auto& [partition, state] : partitions_) {
    if (!state.next || state.next->value() <= state.access_logs_start.value_or(-1)) continue;
    state.access_logs_start = state.next->value();
    state.behind_since.reset();
    if (const auto told = consumer_->committed(partition, *state.next); !told) {
      // The next flush tells a newer position.
      log(LogLevel::warn, "writer: the journal did not take a committed position",
          {{"partition", partition.value()}, {"error", told.error().message}});
    }
  }
  log(LogLevel::info, "writer: committed a flush",
      {{"version", access_logs_.snapshot().version.value()},
       {"records", records_},
       {"files", access_files_.files().size()}});
  metrics_.access_logs_committed(records_);
  access_files_.release();
  is_access_outcome_unknown_ = false;
  is_flush_owed_ = false;
  journal_bytes_ = 0;
  records_ = 0;
  oldest_received_at_.reset();
  policy_.reset();
  lag_updated_.reset();
}

std::optional<std::int64_t> Writer::position_in(const delta::DeltaTable& table,
                                                const std::string& progress_id) {
  const auto& progress = table.snapshot().progress;
  const auto it = progress.find(progress_id);
  return it == progress.end() ? std::nullopt : std::optional(it->second);
}

void Writer::read_starts(const delta::DeltaTable& table, Start start) {
  for (auto& [partition, state] : partitions_) {
    state.*start = position_in(table, state.progress_id);
  }
}

std::vector<delta::Progress> Writer::progress_since(Start start) const {
  std::vector<delta::Progress> progress;
  for (const auto& [partition, state] : partitions_) {
    if (!state.next || (state.*start && state.next->value() <= *(state.*start))) continue;
    progress.push_back({state.progress_id, state.*start, state.next->value()});
  }
  return progress;
}

void Writer::drop_known_dead_letters() {
  std::erase_if(letters_, [this](const DeadLetter& letter) {
    const auto it = partitions_.find(letter.partition);
    return it != partitions_.end() && it->second.dead_letters_start &&
           letter.offset.value() < *it->second.dead_letters_start;
  });
  letters_bytes_ = 0;
  for (const DeadLetter& letter : letters_) letters_bytes_ += letter.memory_bytes();
}

void Writer::fenced(const Error& error) {
  metrics_.was_fenced();
  log(LogLevel::warn, "writer: fenced; going on from the table's position",
      {{"error", error.message}, {"records_dropped", records_}});
  drop_all();
  is_rewind_needed_ = true;
}

void Writer::drop_all() {
  // Files of a commit whose outcome is unknown are perhaps the table's.
  if (is_access_outcome_unknown_) {
    access_files_.release();
  } else {
    access_files_.discard();
  }
  letters_.clear();
  letters_bytes_ = 0;
  pending_.clear();
  pending_next_ = 0;
  forget_keys();
  for (auto& [partition, state] : partitions_) state.next.reset();
  is_access_outcome_unknown_ = false;
  are_dead_letter_starts_stale_ = false;
  is_flush_owed_ = false;
  journal_bytes_ = 0;
  records_ = 0;
  oldest_received_at_.reset();
  policy_.reset();
}

}  // namespace millrace::writer
