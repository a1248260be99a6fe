#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "journal/journal.h"
#include "record/canonical.h"
#include "writer/day_files.h"

namespace millrace::writer {

// A row of the table dead_letters, with the journal entry that it came in.
struct DeadLetter {
  journal::Partition partition;
  journal::Offset offset;
  Timestamp received_at;
  std::optional<std::string> site;
  std::string source;  // "request": refused by the API. "journal": found unreadable there.
  std::string reason;
  std::optional<std::string> field;
  std::string payload;
  std::optional<std::string> batch_id;

  std::size_t memory_bytes() const;
};

void append_dead_letter(const DeadLetter& letter, DayFiles& files);

// What one journal entry holds.
struct EntryContent {
  std::size_t records = 0;
  std::vector<DeadLetter> dead_letters;
  Timestamp received_at;
};

// Turns journal entries into rows. Nothing that an entry holds is an error: what cannot be a row of
// access_logs is a dead letter. One thread; `clock` must outlive it.
class EntryRows {
 public:
  explicit EntryRows(const Clock& clock) : clock_(&clock) {}

  // Appends the entry's records to `access_logs`, each under its own day.
  EntryContent append(journal::ConsumedEntry entry, DayFiles& access_logs);

 private:
  const Clock* clock_;
  record::CanonicalReader reader_;
};

}  // namespace millrace::writer
