#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "analytics/analytics_service.h"
#include "base/config.h"
#include "base/log.h"
#include "base/result.h"
#include "http/server.h"
#include "ingest/ingest_service.h"
#include "journal/embedded_journal.h"
#include "journal/kafka_options.h"
#include "maintenance/maintainer.h"
#include "rollup/definition.h"
#include "sql/engine.h"
#include "store/location.h"
#include "writer/writer.h"

namespace millrace::apps {

enum class JournalKind : std::uint8_t { embedded, kafka };

// All settings of the process; docs for each are in its keys (`millrace config print`).
struct AppConfig {
  AppConfig();

  std::string data_directory = "data";
  std::string lake;       // Empty: in the data folder.
  std::string analytics;  // Empty: in the data folder.
  store::S3Options s3;
  std::string cache_directory;  // Empty: in the data folder.
  std::uint64_t cache_size_bytes_max = 10ULL << 30;
  std::string listen = "127.0.0.1:8080";
  std::string admin_listen = "127.0.0.1:8081";
  bool allow_unauthenticated = false;
  std::chrono::milliseconds shutdown_grace{30'000};
  std::chrono::milliseconds future_max{24 * 3'600'000};
  std::chrono::milliseconds aggregate_interval{1'000};
  bool aggregate_enabled = true;
  std::vector<rollup::RollupDefinition> rollups;  // The user's; named as their tables are.
  bool maintenance_enabled = true;
  bool query_enabled = true;
  std::chrono::milliseconds maintenance_interval{10 * 60'000};
  maintenance::MaintenanceOptions maintenance;
  http::ServerOptions http;
  ingest::IngestOptions ingest;
  JournalKind journal_kind = JournalKind::embedded;
  journal::EmbeddedJournalOptions journal;
  journal::KafkaOptions kafka;
  writer::WriterOptions writer;
  std::chrono::milliseconds flush_idle{1'000};
  std::string crawler_list_file;  // Empty: the built-in crawlers alone.
  sql::EngineOptions sql;
  analytics::AnalyticsOptions query;
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;

  store::Location lake_location() const;
  store::Location analytics_location() const;
  std::string journal_directory() const { return data_directory + "/journal"; }
  std::string scratch_directory() const { return data_directory + "/scratch"; }

 private:
  store::Location location(const std::string& url, const char* folder) const;
};

// Makes every setting a key of the file. `config` must outlive `keys`.
void add_keys(ConfigKeys& keys, AppConfig& config);

// What the command line says of the settings; empty: nothing.
struct ConfigArguments {
  std::string file;
  std::string data_directory;
  std::string lake;
  std::string listen;
  std::string admin_listen;
  std::string aggregate_interval;
  std::string record_retention;
  std::string vacuum_retention;
  bool is_forced = false;   // A short vacuum_retention is taken.
  bool reads_only = false;  // The process takes no batches: not senders' keys count, but readers'.
  // Keys and sections whose secrets only other processes have; they are not read.
  std::vector<std::string> secrets_of_others;
};

// For commands that read and write tables alone: ConfigArguments::secrets_of_others.
inline const std::vector<std::string> secrets_beside_tables = {"api_keys", "journal.kafka",
                                                               "query.keys"};

// Reads the file, lets the command line win, and checks what no single key can.
// Errors: invalid_argument, or why the file cannot be read.
Result<void> load_config(const ConfigArguments& arguments, AppConfig& config);

// What the writer recognises.
// Errors: invalid_argument, and those of read_file().
Result<std::shared_ptr<const crawlers::CrawlerList>> open_crawler_list(const AppConfig& config);

// The store of tables that must be there already, for reading and writing.
// Errors: not_found, and those of store::open_store().
Result<std::unique_ptr<store::ObjectStore>> open_lake(const AppConfig& config,
                                                      MetricsRegistry& metrics);

// "127.0.0.1:8080", "[::1]:0". Errors: invalid_argument.
struct Endpoint {
  std::string address;
  std::uint16_t port = 0;
};
Result<Endpoint> parse_endpoint(const std::string& text);

}  // namespace millrace::apps
