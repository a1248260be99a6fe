// How a table's newest version is found and read, and checkpoints, which make that cheap.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"
#include "columnar/checkpoint_file.h"
#include "delta/delta_table.h"
#include "delta/log_entry.h"
#include "delta/log_listing.h"
#include "delta/path_encoding.h"
#include "delta/schema_json.h"

namespace millrace::delta {

namespace {

std::optional<Version> checkpoint_hint(store::ObjectStore& store, const std::string& key) {
  const auto text = store.get(key);
  if (!text) return std::nullopt;
  const auto hint = nlohmann::json::parse(*text, nullptr, false);
  if (!hint.is_object() || !hint.contains("version") || !hint["version"].is_number_unsigned()) {
    return std::nullopt;
  }
  return Version(hint["version"].get<std::int64_t>());
}

columnar::CheckpointFile checkpoint_file(
    const std::string& path, const std::map<std::string, std::optional<std::string>>& values,
    std::int64_t size_bytes, Timestamp time, const std::string& stats_json) {
  return {encode_path(path), values, size_bytes,
          std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count(),
          stats_json};
}

Timestamp time_of(const columnar::CheckpointFile& file) {
  return Timestamp(std::chrono::milliseconds(file.time_ms));
}

}  // namespace

// A hint that does not hold costs a second listing, and nothing else.
Result<void> DeltaTable::load() {
  const auto hint = checkpoint_hint(*store_, log_key("_last_checkpoint"));
  bool is_loaded = false;
  if (hint) {
    MR_TRY_ASSIGN(is_loaded, load_from(log_key(fmt::format("{:020}", hint->value()))));
  }
  if (!is_loaded) {
    MR_TRY_ASSIGN(is_loaded, load_from(""));
  }
  if (!is_loaded)
    return fail(Errc::not_found, fmt::format("{} is not a table: it has no log", root_));
  if (snapshot_.table_id.empty()) {
    return fail(Errc::corrupt, fmt::format("{}: the log has no metaData action", root_));
  }
  MR_TRY(read_new_entries());
  // A listing that races with commits may show a version and not the one before: but there it is.
  if (snapshot_.version >= listed_) return {};
  return fail(Errc::corrupt,
              fmt::format("{}: version {} is missing from the log, though version {} is there",
                          root_, snapshot_.version.value() + 1, listed_.value()));
}

// The log has been cleaned up beyond the snapshot: what is not there is no sign that this is the
// newest version. Clean-ups take the oldest entries first, or at least the snapshot's with the
// next.
Result<void> DeltaTable::catch_up() {
  DeltaTable newest(*store_, *clock_, root_, options_);
  MR_TRY(newest.load());
  if (newest.snapshot_.version <= snapshot_.version) return {};
  snapshot_ = std::move(newest.snapshot_);
  description_ = std::move(newest.description_);
  tombstones_ = std::move(newest.tombstones_);
  return check_own_schema();
}

// Reads the newest checkpoint among the log's objects after `start_after` that can be read, and the
// versions behind it. False: nothing to start from is there.
Result<bool> DeltaTable::load_from(const std::string& start_after) {
  MR_TRY_ASSIGN(const auto objects, store_->list(log_key(""), start_after));
  LogListing listing = sort_out(objects);
  while (!listing.checkpoints.empty()) {
    MR_TRY_ASSIGN(const bool is_loaded, load_checkpoint(listing.checkpoints.back().version,
                                                        listing.checkpoints.back().parts));
    if (is_loaded) break;
    listing.checkpoints.pop_back();
  }
  const bool has_first = !listing.entries.empty() && listing.entries.front().version == Version(0);
  if (listing.checkpoints.empty() && !has_first && !start_after.empty()) return false;
  if (listing.checkpoints.empty() && listing.entries.empty()) return false;
  if (!listing.entries.empty()) listed_ = listing.entries.back().version;
  for (const auto& [version, info] : listing.entries) {
    if (version <= snapshot_.version) continue;
    if (version != snapshot_.version.next()) break;
    MR_TRY_ASSIGN(const LogEntry entry, read_entry(version));
    apply(entry, version);
  }
  return true;
}

// False: it is not there or does not parse; nothing has changed then.
Result<bool> DeltaTable::load_checkpoint(Version version,
                                         const std::vector<store::ObjectInfo>& parts) {
  auto rows = read_checkpoint(version, parts);
  if (!rows && rows.error().code == Errc::unavailable) return tl::unexpected(rows.error());
  if (!rows) {
    log(LogLevel::warn, "delta: a checkpoint could not be read; going on without it",
        {{"checkpoint", parts.front().key}, {"reason", rows.error().message}});
    return false;
  }
  snapshot_ = std::move(rows->snapshot);
  description_ = std::move(rows->description);
  tombstones_ = std::move(rows->tombstones);
  return true;
}

Result<DeltaTable::CheckpointState> DeltaTable::read_checkpoint(
    Version version, const std::vector<store::ObjectInfo>& parts) const {
  // Files go from the rows to where they stay: a large table is in memory once.
  class Sink final : public columnar::CheckpointSink {
   public:
    explicit Sink(CheckpointState& state) : state_(state) {}
    Result<void> added(columnar::CheckpointFile file) override {
      MR_TRY_ASSIGN(std::string path, decode_path(file.path));
      AddFile add{.path = path,
                  .partition_values = std::move(file.partition_values),
                  .size_bytes = file.size_bytes,
                  .modified = time_of(file),
                  .data_change = false,
                  .stats_json = std::move(file.stats_json)};
      state_.snapshot.files.emplace(std::move(path), std::move(add));
      return {};
    }
    Result<void> removed(columnar::CheckpointFile file) override {
      MR_TRY_ASSIGN(std::string path, decode_path(file.path));
      RemoveFile removed{.path = path,
                         .partition_values = std::move(file.partition_values),
                         .size_bytes = file.size_bytes,
                         .data_change = false,
                         .removed = time_of(file)};
      state_.tombstones.emplace(std::move(path), std::move(removed));
      return {};
    }

   private:
    CheckpointState& state_;
  };
  CheckpointState state;
  Sink sink(state);
  columnar::CheckpointHeader header;
  for (const store::ObjectInfo& part : parts) {
    MR_TRY_ASSIGN(std::string bytes, store_->get(part.key));
    MR_TRY(columnar::read_checkpoint_file(std::move(bytes), header, sink));
  }
  if (header.table_id.empty()) return fail(Errc::corrupt, "a checkpoint without metaData");
  MR_TRY(check_protocol({header.reader_version, header.writer_version}, parts.front().key));
  state.snapshot.version = version;
  state.snapshot.table_id = std::move(header.table_id);
  MR_TRY_ASSIGN(state.snapshot.schema.columns, decode_schema(header.schema_json));
  state.snapshot.schema.partition_columns = std::move(header.partition_columns);
  state.snapshot.progress = std::move(header.transactions);
  state.description = {std::move(header.name), std::move(header.description),
                       std::move(header.schema_json), std::move(header.configuration),
                       header.created_ms};
  return state;
}

// Reading a version costs about as much as reading some hundred files' rows of a checkpoint. All
// writers agree on the versions, about: the interval grows in steps.
bool DeltaTable::is_checkpoint_due() const {
  constexpr std::int64_t files_per_version = 1'000;
  const std::int64_t by_size =
      static_cast<std::int64_t>(snapshot_.files.size()) / files_per_version;
  std::int64_t interval = options_.checkpoint_interval_versions;
  while (interval < by_size) interval *= 2;
  return snapshot_.version.value() % interval == 0;
}

void DeltaTable::checkpoint_if_due() {
  if (!is_checkpoint_due()) return;
  // Twice as long as readers need a file: so long there is somebody to delete it.
  const Timestamp oldest = clock_->now() - 2 * options_.removed_file_retention;
  std::erase_if(tombstones_, [oldest](const auto& item) { return item.second.removed < oldest; });
  if (const auto written = write_checkpoint(); !written) {
    log(LogLevel::warn, "delta: a checkpoint could not be written; the log is read without it",
        {{"checkpoint", checkpoint_key(snapshot_.version)}, {"reason", written.error().message}});
    return;
  }
  crash_point("delta.after_checkpoint");
}

Result<void> DeltaTable::write_checkpoint() const {
  columnar::CheckpointHeader header;
  header.table_id = snapshot_.table_id;
  header.name = description_.name;
  header.description = description_.description;
  header.schema_json = description_.schema_json.empty() ? encode_schema(snapshot_.schema.columns)
                                                        : description_.schema_json;
  header.partition_columns = snapshot_.schema.partition_columns;
  header.configuration = description_.configuration;
  header.created_ms = description_.created_ms;
  header.transactions = snapshot_.progress;
  MR_TRY_ASSIGN(const auto object, store_->create(checkpoint_key(snapshot_.version)));
  MR_TRY_ASSIGN(auto writer, columnar::CheckpointWriter::create(header, *object));
  for (const auto& [path, file] : snapshot_.files) {
    MR_TRY(writer.add(checkpoint_file(path, file.partition_values, file.size_bytes, file.modified,
                                      file.stats_json)));
  }
  for (const auto& [path, file] : tombstones_) {
    MR_TRY(writer.remove(
        checkpoint_file(path, file.partition_values, file.size_bytes, file.removed, "")));
  }
  auto written = writer.finish();
  // Another writer may have made the checkpoint of this version: its content is the same.
  if (!written && written.error().code != Errc::already_exists) return written;
  const std::size_t actions =
      2 + header.transactions.size() + snapshot_.files.size() + tombstones_.size();
  const nlohmann::json hint = {{"version", snapshot_.version.value()},
                               {"size", actions},
                               {"numOfAddFiles", snapshot_.files.size()}};
  return store_->put(log_key("_last_checkpoint"), hint.dump());
}

}  // namespace millrace::delta
