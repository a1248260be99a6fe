#include "app_config.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/posix_file.h"
#include "base/units.h"
#include "writer/table_schemas.h"

namespace millrace::apps {

namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds vacuum_retention_min = 24h;

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

}  // namespace

AppConfig::AppConfig() {
  // A first try shows something soon.
  writer.flush.age_max = 5s;
}

Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  Endpoint endpoint;
  bool is_valid = colon != std::string::npos && colon > 0;
  if (is_valid) {
    endpoint.address = text.substr(0, colon);
    if (endpoint.address.starts_with('[') && endpoint.address.ends_with(']')) {
      endpoint.address = endpoint.address.substr(1, endpoint.address.size() - 2);
    }
    if (endpoint.address == "localhost") endpoint.address = "127.0.0.1";
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, endpoint.port);
    std::array<unsigned char, 16> ignored{};
    is_valid = parsed.ec == std::errc() && parsed.ptr == end &&
               (inet_pton(AF_INET, endpoint.address.c_str(), ignored.data()) == 1 ||
                inet_pton(AF_INET6, endpoint.address.c_str(), ignored.data()) == 1);
  }
  if (is_valid) return endpoint;
  return fail(
      Errc::invalid_argument,
      fmt::format("\"{}\" is not an IP address and a port (want e.g. 127.0.0.1:8080)", text));
}

store::Location AppConfig::lake_location() const { return location(lake, "lake"); }

store::Location AppConfig::analytics_location() const { return location(analytics, "analytics"); }

store::Location AppConfig::location(const std::string& url, const char* folder) const {
  return {.url = url.empty() ? fmt::format("{}/{}", data_directory, folder) : url,
          .s3 = s3,
          .cache_directory = cache_directory.empty() ? data_directory + "/cache" : cache_directory,
          .cache_size_bytes_max = cache_size_bytes_max};
}

namespace {

Result<void> check_locations(const ConfigKeys& keys, const AppConfig& config) {
  const bool has_key = !config.s3.access_key_id.empty();
  if (has_key != !config.s3.secret_access_key.empty()) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: s3.access_key_id and s3.secret_access_key go together",
                            keys.place_of(has_key ? "s3.access_key_id" : "s3.secret_access_key")));
  }
  if (!store::is_s3(config.lake) || !config.aggregate_enabled || !config.analytics.empty()) {
    return {};
  }
  return fail(Errc::invalid_argument,
              fmt::format("{}: the tables are on S3, and it is not said where the JSON summaries "
                          "are to be: set analytics (s3://BUCKET/PREFIX, or a folder)",
                          keys.place_of("lake")));
}

// The command line wins over the file.
Result<void> apply(const ConfigArguments& arguments, ConfigKeys& keys) {
  const std::pair<const char*, const std::string*> given[] = {
      {"data", &arguments.data_directory},
      {"lake", &arguments.lake},
      {"http.listen", &arguments.listen},
      {"admin.listen", &arguments.admin_listen},
      {"aggregate.interval", &arguments.aggregate_interval},
      {"maintain.retention", &arguments.record_retention},
      {"maintain.vacuum_retention", &arguments.vacuum_retention}};
  for (const auto& [path, value] : given) {
    if (!value->empty()) MR_TRY(keys.set(path, *value));
  }
  return {};
}

// Of senders, or of readers.
template <typename Key>
Result<void> check_api_keys(const std::string& place, const std::vector<Key>& keys) {
  std::set<std::string> names;
  std::set<std::string> hashes;
  for (const Key& key : keys) {
    // Empty where they are for another process.
    if (!key.sha256.empty() && !hashes.insert(key.sha256).second) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: \"{}\" is the same key as another", place, key.name));
    }
    const bool is_new = names.insert(key.name).second;
    if (is_new && key.name.find('/') == std::string::npos) continue;
    return fail(Errc::invalid_argument,
                fmt::format("{}: \"{}\" {}", place, key.name,
                            is_new ? "must not hold a slash" : "is there twice"));
  }
  return {};
}

// Who takes batches by http.listen, and who reads there.
Result<void> check_access(const ConfigKeys& keys, AppConfig& config, const Endpoint& endpoint,
                          bool reads_only) {
  const bool has_senders = !config.ingest.api_keys.empty();
  auto& readers = config.query.access;
  const bool is_open = is_loopback(endpoint.address) || readers.takes_any_host;
  // Who shows keys to senders, or lets everybody send, does not mean everybody to read.
  readers.is_closed = readers.keys.empty() && (has_senders || !is_open);
  const bool has_keys = reads_only ? !readers.keys.empty() : has_senders;
  const bool is_allowed = reads_only ? readers.takes_any_host : config.allow_unauthenticated;
  if (is_loopback(endpoint.address) || has_keys || is_allowed) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{}: {} is not loopback, and there are no {}: add some (`millrace key "
                          "create`), or set {}.allow_unauthenticated: true",
                          keys.place_of("http.listen"), config.listen,
                          reads_only ? "query.keys" : "api_keys", reads_only ? "query" : "http"));
}

// Names their tables, and has the SQL engine look at them: what is wrong is known at the start.
Result<void> check_rollups(const ConfigKeys& keys, AppConfig& config) {
  if (config.rollups.empty()) return {};
  MR_TRY_ASSIGN(const auto engine, sql::Engine::open({}));
  std::set<std::string> names;
  for (const auto& built_in : rollup::built_in_rollups()) names.insert(built_in.name);
  for (std::size_t i = 0; i < config.rollups.size(); ++i) {
    auto& definition = config.rollups[i];
    definition.name = "rollup_" + definition.name;
    auto checked = rollup::check_names(definition);
    if (checked) {
      checked = rollup::check_sql(definition, writer::access_logs_schema(), *engine);
    }
    if (checked && !names.insert(definition.name).second) {
      checked = fail(Errc::invalid_argument, "there is one of that name already");
    }
    if (!checked) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: {}: {}", keys.place_of(fmt::format("rollups[{}].name", i)),
                              definition.name, checked.error().message));
    }
  }
  config.maintenance.rollups.insert(config.maintenance.rollups.end(), config.rollups.begin(),
                                    config.rollups.end());
  return {};
}

Result<void> check_vacuum_retention(const ConfigKeys& keys, const AppConfig& config,
                                    bool is_forced) {
  const auto retention = config.maintenance.removed_file_retention;
  if (retention >= vacuum_retention_min || is_forced) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("{}: {} is too short: files would go that a writer is about to commit, or a "
                  "reader has open (want at least {}; where nothing else runs, `millrace maintain "
                  "--vacuum-retention {} --force`)",
                  keys.place_of("maintain.vacuum_retention"), format_duration(retention),
                  format_duration(vacuum_retention_min), format_duration(retention)));
}

}  // namespace

Result<void> load_config(const ConfigArguments& arguments, AppConfig& config) {
  ConfigKeys keys;
  add_keys(keys, config);
  for (const auto& path : arguments.secrets_of_others) keys.leave_secrets(path);
  if (!arguments.file.empty()) MR_TRY(keys.load(arguments.file));
  MR_TRY(apply(arguments, keys));
  MR_TRY(check_vacuum_retention(keys, config, arguments.is_forced));
  MR_TRY(check_locations(keys, config));
  MR_TRY(check_rollups(keys, config));
  MR_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(config.listen));
  MR_TRY(check_access(keys, config, endpoint, arguments.reads_only));
  if (config.http.tls_certificate_file.empty() != config.http.tls_key_file.empty()) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: http.tls_certificate_file and http.tls_key_file go together",
                    keys.place_of(config.http.tls_key_file.empty() ? "http.tls_certificate_file"
                                                                   : "http.tls_key_file")));
  }
  MR_TRY(check_api_keys(keys.place_of("api_keys"), config.ingest.api_keys));
  MR_TRY(check_api_keys(keys.place_of("query.keys"), config.query.access.keys));
  const auto& journal = config.journal;
  if (journal.journal_size_bytes_max <
      journal.segment_size_bytes_max + journal.entry_size_bytes_max) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}: {} is less than journal.segment_size_max and journal.entry_size_max "
                    "together ({} and {}): the largest batch might never fit",
                    keys.place_of("journal.size_max"), format_size(journal.journal_size_bytes_max),
                    format_size(journal.segment_size_bytes_max),
                    format_size(journal.entry_size_bytes_max)));
  }
  config.kafka.entry_size_bytes_max = journal.entry_size_bytes_max;
  config.kafka.queue_size_bytes_max = journal.queue_size_bytes_max;
  // Without its secrets, which are the values of its properties too, nothing can be said of it.
  const bool has_secrets = std::ranges::count(arguments.secrets_of_others, "journal.kafka") == 0;
  if (config.journal_kind == JournalKind::kafka && has_secrets) {
    for (std::size_t i = 0; i < config.kafka.properties.size(); ++i) {
      const auto checked = journal::check_kafka_property(config.kafka.properties[i]);
      if (checked) continue;
      return fail(
          Errc::invalid_argument,
          fmt::format("{}: {}", keys.place_of(fmt::format("journal.kafka.properties[{}].name", i)),
                      checked.error().message));
    }
    MR_TRY(journal::check_kafka_options(config.kafka));
  }
  config.http.address = endpoint.address;
  config.http.port = endpoint.port;
  config.ingest.decoder.future_max =
      std::chrono::duration_cast<std::chrono::seconds>(config.future_max);
  config.ingest.cors_origins = config.http.cors_origins;
  config.writer.foreign = config.ingest.decoder;
  config.journal.directory = config.journal_directory();
  if (config.flush_idle.count() > 0) config.writer.flush.idle_max = config.flush_idle;
  return {};
}

Result<std::shared_ptr<const crawlers::CrawlerList>> open_crawler_list(const AppConfig& config) {
  if (config.crawler_list_file.empty()) return crawlers::CrawlerList::built_in();
  MR_TRY_ASSIGN(const std::string text, read_file(config.crawler_list_file));
  return crawlers::CrawlerList::built_in_with(text, config.crawler_list_file);
}

Result<std::unique_ptr<store::ObjectStore>> open_lake(const AppConfig& config,
                                                      MetricsRegistry& metrics) {
  const store::Location location = config.lake_location();
  if (!store::is_s3(location.url) && !std::filesystem::is_directory(location.url)) {
    return fail(Errc::not_found,
                fmt::format("{} has no tables: is --data the folder of a `millrace serve`?",
                            config.data_directory));
  }
  return store::open_store(location, store::Access::read_write, metrics);
}

}  // namespace millrace::apps
