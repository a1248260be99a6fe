#include "delta/delta_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/random_id.h"
#include "delta/log_entry.h"
#include "delta/log_listing.h"
#include "delta/schema_json.h"

namespace millrace::delta {

namespace {

std::string log_entry_key(std::string_view root, Version version) {
  return fmt::format("{}/_delta_log/{:020}.json", root, version.value());
}

// The log's past is deleted an hour after it, at the earliest.
constexpr std::chrono::minutes commit_time_max(10);

Version before(Version version) { return Version(version.value() - 1); }

template <typename Item, typename Name>
bool are_unique(const std::vector<Item>& items, Name name) {
  std::set<std::string_view> seen;
  return std::all_of(items.begin(), items.end(),
                     [&](const Item& item) { return seen.insert(name(item)).second; });
}

}  // namespace

DeltaTable::DeltaTable(store::ObjectStore& store, const Clock& clock, std::string root,
                       TableOptions options)
    : store_(&store), clock_(&clock), root_(std::move(root)), options_(options) {}

Result<DeltaTable> DeltaTable::open(store::ObjectStore& store, const Clock& clock, std::string root,
                                    TableOptions options) {
  DeltaTable table(store, clock, std::move(root), options);
  MR_TRY(table.load());
  return table;
}

Result<DeltaTable> DeltaTable::open_or_create(store::ObjectStore& store, const Clock& clock,
                                              std::string root, const columnar::TableSchema& schema,
                                              TableOptions options) {
  DeltaTable table(store, clock, std::move(root), options);
  const Timestamp started = clock.now();
  auto loaded = table.load();
  if (!loaded && loaded.error().code == Errc::not_found) {
    MR_TRY(table.create(schema));
    loaded = table.load();
  }
  if (!loaded) return tl::unexpected(loaded.error());
  if (options.adds_columns) MR_TRY(table.add_missing_columns(schema, started));
  if (!may_write(schema, table.snapshot_.schema)) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: the table has other columns than this version writes: {} instead of "
                    "{}. Move the table away, or run the version that wrote it",
                    table.root_, encode_schema(table.snapshot_.schema.columns),
                    encode_schema(schema.columns)));
  }
  table.own_schema_ = schema;
  return table;
}

// Racing creators are no error: one wins, and all go on with its table.
Result<void> DeltaTable::create(const columnar::TableSchema& schema) {
  LogEntry entry;
  entry.operation = "CREATE TABLE";
  entry.commit_id = random_uuid();
  entry.protocol = Protocol{};
  entry.metadata = Metadata{
      .table_id = random_uuid(),
      .schema = schema,
      .configuration = {{"delta.deletedFileRetentionDuration",
                         fmt::format("interval {} hours",
                                     options_.removed_file_retention.count())}},
      .created_ms =
          std::chrono::floor<std::chrono::milliseconds>(clock_->now()).time_since_epoch().count()};
  auto put = store_->put_if_absent(entry_key(Version(0)), encode_log_entry(entry, clock_->now()));
  if (put || put.error().code == Errc::already_exists) return {};
  return put;
}

// Other writers may be as new as this one, and do the same at the same time.
Result<void> DeltaTable::add_missing_columns(const columnar::TableSchema& schema,
                                             Timestamp read_at) {
  for (int attempt = 0; attempt < options_.commit_attempts_max; ++attempt) {
    const auto missing = addable_columns(schema, snapshot_.schema);
    if (missing.empty() || schema.partition_columns != snapshot_.schema.partition_columns) {
      return {};
    }
    LogEntry entry;
    entry.operation = "ADD COLUMNS";
    entry.commit_id = random_uuid();
    Metadata& metadata =
        entry.metadata.emplace(Metadata{.table_id = snapshot_.table_id,
                                        .name = description_.name,
                                        .description = description_.description,
                                        .schema = snapshot_.schema,
                                        .configuration = description_.configuration,
                                        .created_ms = description_.created_ms});
    metadata.schema.columns.insert(metadata.schema.columns.end(), missing.begin(), missing.end());
    MR_TRY_ASSIGN(metadata.schema_json, with_columns(description_.schema_json.empty()
                                                         ? encode_schema(snapshot_.schema.columns)
                                                         : description_.schema_json,
                                                     missing));
    MR_TRY_ASSIGN(const auto added, publish(entry, read_at));
    if (added) return {};
    read_at = clock_->now();
    MR_TRY(refresh());  // Another writer may have added them.
  }
  return fail(Errc::conflict,
              fmt::format("{}: lost {} versions in a row", root_, options_.commit_attempts_max));
}

Result<void> DeltaTable::refresh() {
  MR_TRY(read_new_entries());
  MR_TRY_ASSIGN(const bool is_at_end, is_entry_there(snapshot_.version));
  return is_at_end ? Result<void>() : catch_up();
}

Result<bool> DeltaTable::is_entry_there(Version version) const {
  const auto entry = store_->head(entry_key(version));
  if (entry) return true;
  if (entry.error().code == Errc::not_found) return false;
  return tl::unexpected(entry.error());
}

Result<void> DeltaTable::read_new_entries() {
  while (true) {
    const Version next = snapshot_.version.next();
    auto entry = read_entry(next);
    if (!entry && entry.error().code == Errc::not_found) return {};
    if (!entry) return tl::unexpected(entry.error());
    apply(*entry, next);
    if (entry->metadata) MR_TRY(check_own_schema());
  }
}

Result<void> DeltaTable::check_own_schema() const {
  if (!own_schema_ || may_write(*own_schema_, snapshot_.schema)) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{}: version {} changed the table's columns so that this version can no "
                          "longer write it",
                          root_, snapshot_.version.value()));
}

// Whether the log begins behind a version.
Result<bool> DeltaTable::is_cleaned_up_beyond(Version version) const {
  MR_TRY_ASSIGN(const auto objects, store_->list(log_key("")));
  const LogListing listing = sort_out(objects);
  const bool is_checkpointed =
      !listing.checkpoints.empty() && listing.checkpoints.back().version > version;
  const bool is_begun_before =
      std::any_of(listing.entries.begin(), listing.entries.end(),
                  [version](const auto& entry) { return entry.version < version; });
  return is_checkpointed && !is_begun_before;
}

bool DeltaTable::is_append_only() const {
  const auto found = description_.configuration.find("delta.appendOnly");
  return found != description_.configuration.end() && found->second == "true";
}

Result<void> DeltaTable::make_durable() { return store_->make_durable(root_ + "/_delta_log"); }

Result<Version> DeltaTable::commit(const Commit& commit) {
  MR_ASSERT(are_unique(commit.adds, [](const AddFile& f) -> std::string_view { return f.path; }));
  MR_ASSERT(
      are_unique(commit.removes, [](const RemoveFile& f) -> std::string_view { return f.path; }));
  MR_ASSERT(are_unique(commit.progress,
                       [](const Progress& p) -> std::string_view { return p.progress_id; }));
  LogEntry entry;
  entry.operation = commit.operation;
  entry.commit_id = random_uuid();
  entry.adds = commit.adds;
  entry.removes = commit.removes;
  for (RemoveFile& file : entry.removes) file.removed = clock_->now();
  for (const Progress& progress : commit.progress)
    entry.progress[progress.progress_id] = progress.end;

  for (int attempt = 0; attempt < options_.commit_attempts_max; ++attempt) {
    const Timestamp read_at = clock_->now();
    MR_TRY(refresh());
    MR_TRY(check_start(commit));
    MR_TRY_ASSIGN(const auto version, publish(entry, read_at));
    if (version) return *version;
    // Another writer took this version. Read what it wrote, then try the next one.
  }
  return fail(Errc::conflict,
              fmt::format("{}: lost {} versions in a row", root_, options_.commit_attempts_max));
}

// Makes the entry the version after the snapshot's, which was read after `read_at`, and the
// snapshot's. nullopt: another writer has that version.
Result<std::optional<Version>> DeltaTable::publish(const LogEntry& entry, Timestamp read_at) {
  const Version version = snapshot_.version.next();
  crash_point("delta.before_commit");
  const auto put =
      store_->put_if_absent(entry_key(version), encode_log_entry(entry, clock_->now()));
  bool is_ours = put.has_value();
  if (!put) {
    // The answer may have been lost, or be about an earlier attempt of ours: the log knows.
    auto own = is_own_entry(version, entry.commit_id);
    const bool is_known_to_be_absent = !own && own.error().code == Errc::not_found;
    const bool is_refused =
        put.error().code != Errc::already_exists && put.error().code != Errc::unavailable;
    if (is_known_to_be_absent && is_refused) return tl::unexpected(put.error());
    if (!own) {
      return fail(Errc::unavailable,
                  fmt::format("{}; {}", put.error().message, own.error().message));
    }
    is_ours = *own;
  }
  if (is_ours && clock_->now() - read_at > commit_time_max) {
    // Whoever stood still for long may have written to where the log has been cleaned up since.
    MR_TRY_ASSIGN(const bool is_in_the_past, is_cleaned_up_beyond(version));
    is_ours = !is_in_the_past;
    if (is_in_the_past) MR_TRY(store_->remove(entry_key(version)));
  }
  if (!is_ours) return std::nullopt;
  // Visible is not durable: the source will be forgotten on the strength of this answer.
  if (!put) {
    auto durable = make_durable();
    if (!durable) return fail(Errc::unavailable, std::move(durable).error().message);
  }
  crash_point("delta.after_commit");
  apply(entry, version);
  checkpoint_if_due();
  return version;
}

Result<void> DeltaTable::check_start(const Commit& commit) const {
  for (const Progress& progress : commit.progress) {
    const auto found = snapshot_.progress.find(progress.progress_id);
    const auto actual =
        found == snapshot_.progress.end() ? std::optional<std::int64_t>() : found->second;
    if (actual == progress.start) continue;
    const auto text = [](std::optional<std::int64_t> position) {
      return position ? std::to_string(*position) : std::string("absent");
    };
    return fail(Errc::fenced,
                fmt::format("{}: {} stands at {}, the commit starts from {}", root_,
                            progress.progress_id, text(actual), text(progress.start)));
  }
  for (const RemoveFile& file : commit.removes) {
    if (snapshot_.files.contains(file.path)) continue;
    return fail(Errc::fenced, fmt::format("{}: {} is no longer in the table", root_, file.path));
  }
  return {};
}

Result<bool> DeltaTable::is_own_entry(Version version, const std::string& commit_id) {
  MR_TRY_ASSIGN(const LogEntry entry, read_entry(version));
  return entry.commit_id == commit_id;
}

Result<std::size_t> DeltaTable::delete_removed_files() {
  const Timestamp until = clock_->now() - options_.removed_file_retention;
  std::size_t count = 0;
  for (const auto& [path, file] : tombstones_) {
    if (file.removed < deleted_until_ || file.removed >= until) continue;
    MR_TRY(store_->remove(fmt::format("{}/{}", root_, path)));
    ++count;
  }
  deleted_until_ = std::max(deleted_until_, until);
  return count;
}

Result<std::vector<VersionChanges>> DeltaTable::changes_after(Version after) {
  std::vector<VersionChanges> changes;
  MR_TRY(visit_changes_after(after, [&](const VersionChanges& each) { changes.push_back(each); }));
  return changes;
}

Result<void> DeltaTable::visit_changes_after(
    Version after, const std::function<void(const VersionChanges&)>& visit, const StopCheck& stop) {
  for (Version version = after.next(); version <= snapshot_.version; version = version.next()) {
    if (stop && stop()) return fail(Errc::unavailable, "reading the log was stopped");
    auto entry = read_entry(version);
    if (!entry && entry.error().code == Errc::not_found) {
      return fail(Errc::not_found,
                  fmt::format("{}: version {} is no longer in the log (the table is at {})", root_,
                              version.value(), snapshot_.version.value()));
    }
    if (!entry) return tl::unexpected(entry.error());
    visit(
        {version, std::move(entry->operation), std::move(entry->adds), std::move(entry->removes)});
  }
  return {};
}

Result<LogEntry> DeltaTable::read_entry(Version version) const {
  const std::string key = entry_key(version);
  MR_TRY_ASSIGN(const std::string text, store_->get(key));
  return decode_log_entry(text, key);
}

void DeltaTable::apply(const LogEntry& entry, Version version) {
  MR_ASSERT(before(version) == snapshot_.version);
  if (entry.metadata) {
    snapshot_.table_id = entry.metadata->table_id;
    snapshot_.schema = entry.metadata->schema;
    description_ = {entry.metadata->name, entry.metadata->description, entry.metadata->schema_json,
                    entry.metadata->configuration, entry.metadata->created_ms};
  }
  for (const RemoveFile& file : entry.removes) {
    snapshot_.files.erase(file.path);
    tombstones_.insert_or_assign(file.path, file);
  }
  for (const AddFile& file : entry.adds) {
    tombstones_.erase(file.path);
    snapshot_.files.insert_or_assign(file.path, file);
  }
  for (const auto& [progress_id, position] : entry.progress) {
    snapshot_.progress.insert_or_assign(progress_id, position);
  }
  snapshot_.version = version;
}

std::string DeltaTable::log_key(std::string_view name) const {
  return fmt::format("{}/_delta_log/{}", root_, name);
}

std::string DeltaTable::entry_key(Version version) const { return log_entry_key(root_, version); }

std::string DeltaTable::checkpoint_key(Version version) const {
  return log_key(fmt::format("{:020}.checkpoint.parquet", version.value()));
}

Result<Timestamp> committed_at(store::ObjectStore& store, std::string_view root, Version version) {
  MR_TRY_ASSIGN(const auto entry, store.head(log_entry_key(root, version)));
  return entry.modified;
}

}  // namespace millrace::delta
