#include "writer/entry_rows.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "record/batch.h"
#include "record/utf8.h"
#include "writer/table_schemas.h"

namespace millrace::writer {
namespace {

using columnar::FileBuilder;

constexpr std::size_t text_bytes_max = 4096;  // Of any text in a dead letter.
constexpr std::string_view default_site = "default";

void append_optional(FileBuilder& builder, std::size_t column,
                     const std::optional<std::string_view>& value) {
  if (value) builder.append_string(column, *value);
}

void append_crawler(FileBuilder& builder, const record::Record& record,
                    crawlers::Recognizer& recognizer) {
  using Column = AccessLogsColumn;
  builder.append_string(Column::bot_list, recognizer.list().version());
  const auto* crawler = record.user_agent ? recognizer.find(*record.user_agent) : nullptr;
  if (crawler == nullptr) return;
  builder.append_string(Column::bot, crawler->name);
  if (!crawler->operator_name.empty()) {
    builder.append_string(Column::bot_operator, crawler->operator_name);
  }
  builder.append_string(Column::bot_category, crawler->category);
}

void append_record(FileBuilder& builder, const record::Record& record, const record::Batch& batch,
                   crawlers::Recognizer& recognizer) {
  using Column = AccessLogsColumn;
  builder.append_timestamp(Column::timestamp, record.timestamp);
  builder.append_string(Column::site, record.site.value_or(batch.site));
  builder.append_string(Column::path, record.path);
  append_optional(builder, Column::query, record.query);
  append_optional(builder, Column::method, record.method);
  append_optional(builder, Column::host, record.host);
  append_optional(builder, Column::referrer, record.referrer);
  append_optional(builder, Column::user_agent, record.user_agent);
  append_optional(builder, Column::client_ip, record.client_ip);
  append_optional(builder, Column::protocol, record.protocol);
  append_optional(builder, Column::country, record.country);
  if (record.status) builder.append_int32(Column::status, *record.status);
  if (record.bytes) builder.append_int64(Column::bytes, *record.bytes);
  if (record.duration_us) builder.append_int64(Column::duration_us, *record.duration_us);
  if (!record.attributes.empty()) builder.append_map(Column::attributes, record.attributes);
  builder.append_timestamp(Column::received_at, batch.received_at);
  if (batch.batch_id) builder.append_string(Column::batch_id, *batch.batch_id);
  append_crawler(builder, record, recognizer);
  builder.end_row();
}

// Whether another program appended it: all entries of ours name their schema.
bool is_foreign(const Headers& headers) {
  return std::none_of(headers.begin(), headers.end(),
                      [](const auto& header) { return header.first == "schema"; });
}

// Valid UTF-8, as the tables need it, for bytes from anywhere.
std::string text(std::string_view bytes) {
  std::string valid;
  record::append_with_escaped_bytes(valid, record::cut_at_character(bytes, text_bytes_max));
  return std::string(record::cut_at_character(valid, text_bytes_max));
}

// A dead letter for what the journal holds and Millrace cannot read.
DeadLetter unreadable(const journal::ConsumedEntry& entry, Timestamp received_at,
                      std::string_view reason, std::string_view payload) {
  return {.partition = entry.partition,
          .offset = entry.offset,
          .received_at = received_at,
          .site = std::nullopt,
          .source = "journal",
          .reason = text(fmt::format("partition {}, offset {}: {}", entry.partition.value(),
                                     entry.offset.value(), reason)),
          .field = std::nullopt,
          .payload = text(payload),
          .batch_id = std::nullopt};
}

DeadLetter refused(const journal::ConsumedEntry& entry, const record::Batch& batch,
                   const record::Reject& reject) {
  return {.partition = entry.partition,
          .offset = entry.offset,
          .received_at = batch.received_at,
          .site = batch.site,
          .source = "request",
          .reason = text(reject.reason),
          .field = reject.field.empty() ? std::nullopt : std::optional(text(reject.field)),
          .payload = text(reject.payload),
          .batch_id = batch.batch_id};
}

}  // namespace

std::size_t DeadLetter::memory_bytes() const {
  return sizeof(DeadLetter) + reason.capacity() + payload.capacity() +
         (site ? site->capacity() : 0) + (field ? field->capacity() : 0) +
         (batch_id ? batch_id->capacity() : 0);
}

void append_dead_letter(const DeadLetter& letter, DayFiles& files) {
  using Column = DeadLettersColumn;
  FileBuilder& builder = files.builder(day_of(letter.received_at));
  builder.append_timestamp(Column::received_at, letter.received_at);
  append_optional(builder, Column::site, letter.site);
  builder.append_string(Column::source, letter.source);
  builder.append_string(Column::reason, letter.reason);
  append_optional(builder, Column::field, letter.field);
  builder.append_string(Column::payload, letter.payload);
  append_optional(builder, Column::batch_id, letter.batch_id);
  builder.end_row();
}

std::optional<record::BatchKey> batch_key_of(const journal::ConsumedEntry& entry) {
  if (entry.corrupt_reason) return std::nullopt;
  auto key = record::batch_key_of(entry.entry.headers);
  if (key) key->id = text(key->id);
  return key;
}

EntryContent EntryRows::append(journal::ConsumedEntry entry, DayFiles& access_logs) {
  EntryContent content;
  content.received_at = clock_->now();
  if (entry.corrupt_reason) {
    content.dead_letters.push_back(
        unreadable(entry, content.received_at, *entry.corrupt_reason, entry.entry.value));
    return content;
  }
  if (is_foreign(entry.entry.headers)) return append_foreign(std::move(entry), access_logs);
  // decode_batch() takes the value, and a dead letter shows the head of it.
  const std::string value_head = entry.entry.value.substr(0, text_bytes_max);
  auto batch = record::decode_batch(entry.entry.headers, std::move(entry.entry.value));
  if (!batch) {
    content.dead_letters.push_back(
        unreadable(entry, content.received_at, batch.error().message, value_head));
    return content;
  }
  content.received_at = batch->received_at;
  batch->site = batch->site.empty() ? std::string(default_site) : text(batch->site);
  if (batch->batch_id) batch->batch_id = text(*batch->batch_id);

  for (const record::Reject& reject : batch->rejects) {
    content.dead_letters.push_back(refused(entry, *batch, reject));
  }
  append_records(entry, *batch, content, access_logs);
  return content;
}

// JSON lines, each a record as the API takes it.
EntryContent EntryRows::append_foreign(journal::ConsumedEntry entry, DayFiles& access_logs) {
  EntryContent content;
  // Not our clock: an entry that is read again has to become the same rows.
  content.received_at = entry.appended_at.value_or(clock_->now());
  record::Batch batch;
  batch.site = default_site;
  batch.received_at = content.received_at;
  const auto failure = foreign_.decode(record::Format::ndjson, entry.entry.value, false, batch);
  if (failure) batch.rejects.push_back({.reason = failure->message});
  for (const record::Reject& reject : batch.rejects) {
    DeadLetter letter = unreadable(entry, content.received_at, reject.reason, reject.payload);
    if (!reject.field.empty()) letter.field = text(reject.field);
    content.dead_letters.push_back(std::move(letter));
  }
  append_records(entry, batch, content, access_logs);
  return content;
}

void EntryRows::append_records(const journal::ConsumedEntry& entry, const record::Batch& batch,
                               EntryContent& content, DayFiles& access_logs) {
  reader_.reset(batch.records);
  while (true) {
    const auto record = reader_.next();
    if (!record) {
      DeadLetter letter =
          unreadable(entry, batch.received_at, record.error().message, reader_.line());
      letter.site = batch.site;
      letter.batch_id = batch.batch_id;
      content.dead_letters.push_back(std::move(letter));
      continue;
    }
    if (*record == nullptr) return;
    append_record(access_logs.builder(day_of((*record)->timestamp)), **record, batch, recognizer_);
    ++content.records;
  }
}

}  // namespace millrace::writer
