#include "record/batch.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/time_text.h"
#include "record/json_text.h"
#include "record/utf8.h"

namespace millrace::record {
namespace {

constexpr std::string_view schema = "1";

// What clients send may be any bytes; the header has to read back, whatever they were.
void append_any_text(std::string& json, std::string_view bytes) {
  std::string text;
  append_with_escaped_bytes(text, bytes);
  append_json_string(json, text);
}

std::string encode_rejects(const std::vector<Reject>& rejects) {
  std::string text = "[";
  for (const Reject& reject : rejects) {
    if (text.size() > 1) text += ',';
    text += R"({"index":)";
    text += fmt::format_int(reject.index).c_str();
    text += R"(,"field":)";
    append_any_text(text, reject.field);
    text += R"(,"reason":)";
    append_any_text(text, reject.reason);
    text += R"(,"payload":)";
    append_any_text(text, reject.payload);
    text += '}';
  }
  text += ']';
  return text;
}

std::vector<Reject> rejects_of(const nlohmann::json& list) {
  std::vector<Reject> rejects;
  for (const nlohmann::json& item : list) {
    rejects.push_back({item.at("index").get<std::size_t>(), item.at("field").get<std::string>(),
                       item.at("reason").get<std::string>(),
                       item.at("payload").get<std::string>()});
  }
  return rejects;
}

Result<std::vector<Reject>> decode_rejects(const std::string& text) {
  try {
    const auto list = nlohmann::json::parse(text);
    if (list.is_array()) return rejects_of(list);
    return fail(Errc::corrupt, "journal entry: the header rejects is not a JSON array");
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::corrupt,
                fmt::format("journal entry: the header rejects does not parse: {}", error.what()));
  }
}

Result<std::size_t> decode_count(const std::string& text) {
  std::size_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || stop != end) {
    return fail(Errc::corrupt, "journal entry: the header record_count is not a number");
  }
  return count;
}

// The first header of that name; nullptr: there is none.
const std::string* find(const Headers& headers, std::string_view name) {
  for (const auto& [header_name, value] : headers) {
    if (header_name == name) return &value;
  }
  return nullptr;
}

Result<const std::string*> required(const Headers& headers, std::string_view name) {
  if (const std::string* value = find(headers, name)) return value;
  return fail(Errc::corrupt, fmt::format("journal entry: the header {} is missing", name));
}

}  // namespace

Headers encode_headers(const Batch& batch) {
  Headers headers;
  headers.reserve(6);
  headers.emplace_back("schema", schema);
  headers.emplace_back("site", batch.site);
  headers.emplace_back("received_at", to_rfc3339(batch.received_at));
  headers.emplace_back("record_count", fmt::format_int(batch.record_count).str());
  if (batch.batch_id) headers.emplace_back("batch_id", *batch.batch_id);
  if (!batch.rejects.empty()) headers.emplace_back("rejects", encode_rejects(batch.rejects));
  return headers;
}

std::optional<BatchKey> batch_key_of(const Headers& headers) {
  const std::string* const id = find(headers, "batch_id");
  const std::string* const received_at = find(headers, "received_at");
  if (id == nullptr || received_at == nullptr || find(headers, "schema") == nullptr) {
    return std::nullopt;
  }
  const auto time = parse_rfc3339(*received_at);
  if (!time) return std::nullopt;
  return BatchKey{*id, *time};
}

Result<Batch> decode_batch(const Headers& headers, std::string value) {
  Batch batch;
  MR_TRY_ASSIGN(const std::string* const entry_schema, required(headers, "schema"));
  if (*entry_schema != schema) {
    return fail(Errc::corrupt, fmt::format("journal entry: the header schema is \"{}\", not \"{}\"",
                                           *entry_schema, schema));
  }
  MR_TRY_ASSIGN(const std::string* const site, required(headers, "site"));
  batch.site = *site;
  MR_TRY_ASSIGN(const std::string* const received_at, required(headers, "received_at"));
  const auto time = parse_rfc3339(*received_at);
  if (!time) {
    return fail(Errc::corrupt, "journal entry: the header received_at: " + time.error().message);
  }
  batch.received_at = *time;
  MR_TRY_ASSIGN(const std::string* const count, required(headers, "record_count"));
  MR_TRY_ASSIGN(batch.record_count, decode_count(*count));
  if (const std::string* batch_id = find(headers, "batch_id")) batch.batch_id = *batch_id;
  if (const std::string* rejects = find(headers, "rejects")) {
    MR_TRY_ASSIGN(batch.rejects, decode_rejects(*rejects));
  }
  batch.records = std::move(value);
  return batch;
}

}  // namespace millrace::record
