#include "delta/log_entry.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "delta/path_encoding.h"
#include "delta/schema_json.h"

namespace millrace::delta {

namespace {

using nlohmann::ordered_json;
using PartitionValues = std::map<std::string, std::optional<std::string>>;

constexpr int reader_version_max = 1;
constexpr int writer_version_max = 2;

std::int64_t milliseconds_of(Timestamp time) {
  return std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count();
}

ordered_json partition_values_json(const PartitionValues& values) {
  auto json = ordered_json::object();
  for (const auto& [column, value] : values) {
    json[column] = value ? ordered_json(*value) : ordered_json(nullptr);
  }
  return json;
}

ordered_json add_json(const AddFile& file) {
  ordered_json add = {{"path", encode_path(file.path)},
                      {"partitionValues", partition_values_json(file.partition_values)},
                      {"size", file.size_bytes},
                      {"modificationTime", milliseconds_of(file.modified)},
                      {"dataChange", file.data_change}};
  if (!file.stats_json.empty()) add["stats"] = file.stats_json;
  return {{"add", add}};
}

ordered_json remove_json(const RemoveFile& file) {
  return {{"remove",
           {{"path", encode_path(file.path)},
            {"deletionTimestamp", milliseconds_of(file.removed)},
            {"dataChange", file.data_change},
            {"extendedFileMetadata", true},
            {"partitionValues", partition_values_json(file.partition_values)},
            {"size", file.size_bytes}}}};
}

ordered_json metadata_json(const Metadata& metadata) {
  ordered_json json = {
      {"id", metadata.table_id},
      {"format", {{"provider", "parquet"}, {"options", ordered_json::object()}}},
      {"schemaString", metadata.schema_json.empty() ? encode_schema(metadata.schema.columns)
                                                    : metadata.schema_json},
      {"partitionColumns", metadata.schema.partition_columns},
      {"configuration", ordered_json(metadata.configuration)},
      {"createdTime", metadata.created_ms}};
  if (!metadata.name.empty()) json["name"] = metadata.name;
  if (!metadata.description.empty()) json["description"] = metadata.description;
  return {{"metaData", std::move(json)}};
}

// Reads the members of one action; the first that is missing or of another type is remembered.
class Members {
 public:
  explicit Members(const ordered_json& object) : object_(object) {}

  std::string text(const char* name) {
    const ordered_json* member = find(name);
    if (member != nullptr && member->is_string()) return *member;
    note(name);
    return {};
  }
  std::string text_or_empty(const char* name) {
    const ordered_json* member = find(name);
    return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
  }
  std::int64_t integer(const char* name) {
    const ordered_json* member = find(name);
    if (member != nullptr && member->is_number_integer()) return *member;
    note(name);
    return 0;
  }
  std::int64_t integer_or(const char* name, std::int64_t otherwise) {
    const ordered_json* member = find(name);
    return member != nullptr && member->is_number_integer() ? member->get<std::int64_t>()
                                                            : otherwise;
  }
  bool boolean(const char* name) {
    const ordered_json* member = find(name);
    if (member != nullptr && member->is_boolean()) return *member;
    note(name);
    return false;
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> result;
    const ordered_json* member = find(name);
    if (member == nullptr || !member->is_array()) {
      note(name);
      return result;
    }
    for (const auto& item : *member) {
      if (!item.is_string())
        note(name);
      else
        result.push_back(item);
    }
    return result;
  }
  PartitionValues text_map(const char* name, bool required) {
    PartitionValues result;
    const ordered_json* member = find(name);
    if (member == nullptr && !required) return result;
    if (member == nullptr || !member->is_object()) {
      note(name);
      return result;
    }
    for (const auto& [key, value] : member->items()) {
      if (value.is_string())
        result[key] = value.get<std::string>();
      else if (value.is_null())
        result[key] = std::nullopt;
      else
        note(name);
    }
    return result;
  }
  bool has(const char* name) const { return find(name) != nullptr; }

  // The member at fault; empty: none.
  const std::string& fault() const { return fault_; }

 private:
  // A null is as good as none: writers differ in which of the two they write.
  const ordered_json* find(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  void note(const char* name) {
    if (fault_.empty()) fault_ = name;
  }

  const ordered_json& object_;
  std::string fault_;
};

class EntryDecoder {
 public:
  explicit EntryDecoder(std::string_view name) : name_(name) {}

  Result<void> take_line(std::string_view line) {
    const auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object()) return corrupt("a line is not a JSON object");
    for (const auto& [kind, action] : json.items()) {
      if (action.is_null()) continue;
      if (!action.is_object()) return corrupt(fmt::format("{} is not an object", kind));
      MR_TRY(take(kind, action));
    }
    return {};
  }

  LogEntry take_entry() { return std::move(entry_); }

 private:
  Result<void> take(const std::string& kind, const ordered_json& action) {
    Members members(action);
    if (kind == "commitInfo") {
      entry_.operation = members.text_or_empty("operation");
      entry_.commit_id = members.text_or_empty("txnId");
    } else if (kind == "protocol") {
      entry_.protocol = {static_cast<int>(members.integer("minReaderVersion")),
                         static_cast<int>(members.integer("minWriterVersion"))};
      if (members.fault().empty()) MR_TRY(check_protocol(*entry_.protocol, name_));
    } else if (kind == "metaData") {
      MR_TRY(take_metadata(members));
    } else if (kind == "add") {
      MR_TRY(take_add(members));
    } else if (kind == "remove") {
      MR_TRY(take_remove(members));
    } else if (kind == "txn") {
      const std::string progress_id = members.text("appId");
      entry_.progress[progress_id] = members.integer("version");
    }
    if (members.fault().empty()) return {};
    return corrupt(fmt::format("{}.{} is missing or of another type", kind, members.fault()));
  }

  Result<void> take_metadata(Members& members) {
    Metadata metadata;
    metadata.table_id = members.text("id");
    metadata.schema.partition_columns = members.texts("partitionColumns");
    metadata.created_ms = members.integer_or("createdTime", 0);
    for (const auto& [key, value] : members.text_map("configuration", false)) {
      metadata.configuration[key] = value.value_or("");
    }
    metadata.name = members.text_or_empty("name");
    metadata.description = members.text_or_empty("description");
    metadata.schema_json = members.text("schemaString");
    if (!members.fault().empty()) return {};
    MR_TRY_ASSIGN(metadata.schema.columns, decode_schema(metadata.schema_json));
    const auto mapping = metadata.configuration.find("delta.columnMapping.mode");
    if (mapping != metadata.configuration.end() && mapping->second != "none") {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: the table uses column mapping, which this version does not know",
                              name_));
    }
    entry_.metadata = std::move(metadata);
    return {};
  }

  Result<void> take_add(Members& members) {
    MR_TRY(refuse_deletion_vector(members));
    AddFile file;
    MR_TRY_ASSIGN(file.path, decode_path(members.text("path")));
    file.partition_values = members.text_map("partitionValues", true);
    file.size_bytes = members.integer("size");
    file.modified = Timestamp(std::chrono::milliseconds(members.integer_or("modificationTime", 0)));
    file.data_change = members.boolean("dataChange");
    file.stats_json = members.text_or_empty("stats");
    entry_.adds.push_back(std::move(file));
    return {};
  }

  Result<void> take_remove(Members& members) {
    MR_TRY(refuse_deletion_vector(members));
    RemoveFile file;
    MR_TRY_ASSIGN(file.path, decode_path(members.text("path")));
    file.partition_values = members.text_map("partitionValues", false);
    file.size_bytes = members.integer_or("size", 0);
    file.data_change = members.boolean("dataChange");
    file.removed = Timestamp(std::chrono::milliseconds(members.integer_or("deletionTimestamp", 0)));
    entry_.removes.push_back(std::move(file));
    return {};
  }

  Result<void> refuse_deletion_vector(const Members& members) const {
    if (!members.has("deletionVector")) return {};
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: the table has deletion vectors, which this version does not know", name_));
  }

  tl::unexpected<Error> corrupt(const std::string& what) const {
    return fail(Errc::corrupt, fmt::format("{}: {}", name_, what));
  }

  const std::string_view name_;
  LogEntry entry_;
};

}  // namespace

std::string encode_log_entry(const LogEntry& entry, Timestamp now) {
  const std::int64_t now_ms = milliseconds_of(now);
  std::string text;
  const auto put = [&text](const ordered_json& action) {
    text += action.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    text += '\n';
  };
  put({{"commitInfo",
        {{"timestamp", now_ms},
         {"operation", entry.operation},
         {"operationParameters", ordered_json::object()},
         {"isBlindAppend", entry.removes.empty() && !entry.metadata},
         {"engineInfo", "Millrace"},
         {"txnId", entry.commit_id}}}});
  if (entry.protocol) {
    put({{"protocol",
          {{"minReaderVersion", entry.protocol->reader_version},
           {"minWriterVersion", entry.protocol->writer_version}}}});
  }
  if (entry.metadata) put(metadata_json(*entry.metadata));
  for (const auto& [progress_id, version] : entry.progress) {
    put({{"txn", {{"appId", progress_id}, {"version", version}, {"lastUpdated", now_ms}}}});
  }
  for (const RemoveFile& file : entry.removes) put(remove_json(file));
  for (const AddFile& file : entry.adds) put(add_json(file));
  return text;
}

Result<LogEntry> decode_log_entry(std::string_view text, std::string_view name) {
  EntryDecoder decoder(name);
  // Read as a version that changes nothing, a torn write would take back what it committed: who
  // reads positions from it would then do its work twice.
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return fail(Errc::corrupt, fmt::format("{}: it is empty; every commit has an action", name));
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) MR_TRY(decoder.take_line(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return decoder.take_entry();
}

Result<void> check_protocol(const Protocol& protocol, std::string_view name) {
  if (protocol.reader_version <= reader_version_max &&
      protocol.writer_version <= writer_version_max) {
    return {};
  }
  return fail(
      Errc::invalid_argument,
      fmt::format("{}: the table wants a reader of version {} and a writer of version {}; this "
                  "one knows {} and {}. Has another engine upgraded the table?",
                  name, protocol.reader_version, protocol.writer_version, reader_version_max,
                  writer_version_max));
}

}  // namespace millrace::delta
