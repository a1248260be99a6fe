#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "crawlers/crawlers.h"
#include "journal/journal.h"
#include "record/batch.h"
#include "record/canonical.h"
#include "record/decoder.h"
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

// The key under which the entry's batch may come again, as the tables hold it; nullopt: none.
std::optional<record::BatchKey> batch_key_of(const journal::ConsumedEntry& entry);

// Turns journal entries into rows. Nothing that an entry holds is an error: what cannot be a row of
// access_logs is a dead letter. One thread; `clock` must outlive it.
class EntryRows {
 public:
  // `foreign`: for entries that other programs appended. `crawlers`: those to be recognised.
  EntryRows(const Clock& clock, record::DecoderOptions foreign,
            std::shared_ptr<const crawlers::CrawlerList> crawlers)
      : clock_(&clock), foreign_(std::move(foreign)), recognizer_(std::move(crawlers)) {}

  // Appends the entry's records to `access_logs`, each under its own day.
  EntryContent append(journal::ConsumedEntry entry, DayFiles& access_logs);

 private:
  EntryContent append_foreign(journal::ConsumedEntry entry, DayFiles& access_logs);
  void append_records(const journal::ConsumedEntry& entry, const record::Batch& batch,
                      EntryContent& content, DayFiles& access_logs);

  const Clock* clock_;
  record::Decoder foreign_;
  record::CanonicalReader reader_;
  crawlers::Recognizer recognizer_;
};

}  // namespace millrace::writer
