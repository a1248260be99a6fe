// Every setting's key: its name in the file, bounds and documentation.
#include <fmt/format.h>

#include <chrono>

#include "app_config.h"

namespace millrace::apps {

namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;

// Writers keep it in mind for twice their own 7 days who has removed which file.
constexpr milliseconds vacuum_retention_max = 14 * 24h;

Result<void> check_endpoint(std::string_view text) {
  MR_TRY(parse_endpoint(std::string(text)));
  return {};
}

Result<void> check_not_empty(std::string_view text) {
  if (!text.empty()) return {};
  return fail(Errc::invalid_argument, "must not be empty");
}

Result<void> check_origin(std::string_view text) {
  const auto mark = text.find("://");
  const bool is_origin = mark != std::string_view::npos && mark > 0 &&
                         text.find('/', mark + 3) == std::string_view::npos;
  if (text == "*" || is_origin) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("\"{}\" is not an origin (want e.g. https://example.com, or \"*\")", text));
}

void add_http_keys(ConfigKeys& keys, AppConfig& config) {
  auto& http = config.http;
  keys.add_text("http.listen", config.listen, "Address and port of the ingestion API.",
                check_endpoint);
  keys.add_text("http.tls_certificate_file", http.tls_certificate_file,
                "PEM file of the API's certificate and those that vouch for it: HTTPS instead of "
                "HTTP. Read anew at SIGHUP.");
  keys.add_text("http.tls_key_file", http.tls_key_file, "PEM file of the certificate's key.");
  keys.add_bool(
      "http.allow_unauthenticated", config.allow_unauthenticated,
      "Listen beyond loopback without API keys. Everybody who reaches the port can send.");
  keys.add_integer("http.threads", http.threads, {1, 256}, "Threads that serve connections.");
  keys.add_integer("http.connections_max", http.connections_max, {1, 1'000'000},
                   "Open connections; further ones get 503.");
  keys.add_size("http.header_size_max", http.header_bytes_max, {kib, mib},
                "Largest request header; 431 beyond.");
  keys.add_size("http.body_size_max", http.body_bytes_max, {1, gib},
                "Largest request body as it arrives; 413 beyond.");
  keys.add_size("http.body_decompressed_size_max", http.body_decompressed_bytes_max, {1, 4 * gib},
                "Largest request body once it is decompressed; 413 beyond.");
  keys.add_integer("http.decompression_ratio_max", http.decompression_ratio_max, {1, 100'000},
                   "How many times its size a body may decompress to, above 1 MiB; 413 beyond.");
  keys.add_size("http.bodies_in_flight_size_max", http.bodies_in_flight_bytes_max,
                {mib, 1024 * gib}, "Request bodies held at once, as they arrive; 503 beyond.");
  keys.add_duration("http.header_timeout", http.header_timeout, {10ms, 1h},
                    "How long a client may take to send a header.");
  keys.add_duration("http.body_timeout", http.body_timeout, {10ms, 1h},
                    "How long a client may take to send a body.");
  keys.add_duration("http.idle_timeout", http.idle_timeout, {10ms, 24h},
                    "How long a connection may rest between requests.");
  keys.add_duration("http.write_timeout", http.write_timeout, {10ms, 1h},
                    "How long a client may take to read an answer.");
  keys.add_text_list(
      "http.cors_origins", http.cors_origins,
      "Origins whose scripts in a browser may send (https://example.com; \"*\": all). "
      "None: no CORS headers.",
      check_origin);
  keys.add_text("admin.listen", config.admin_listen,
                "Address and port of /metrics, /healthz and /readyz.", check_endpoint);
}

void add_ingest_keys(ConfigKeys& keys, AppConfig& config) {
  auto& decoder = config.ingest.decoder;
  keys.add_text("ingest.default_site", config.ingest.default_site,
                "The site of records that name none, where no API key does.", check_not_empty);
  keys.add_integer("ingest.records_max", decoder.records_max, {1, 10'000'000},
                   "Records of one batch; 413 beyond.");
  keys.add_size("ingest.record_size_max", decoder.record_bytes_max, {64, 64 * mib},
                "Largest record as it came; it is rejected beyond.");
  keys.add_size("ingest.path_size_max", decoder.path_bytes_max, {1, mib},
                "Longest path; the record is rejected beyond.");
  keys.add_size("ingest.field_size_max", decoder.field_bytes_max, {1, mib},
                "Longest other text; the record is rejected beyond.");
  keys.add_integer("ingest.attributes_max", decoder.attributes_max, {0, 10'000},
                   "Unknown fields of one record; it is rejected beyond.");
  keys.add_duration("ingest.future_max", config.future_max, {1s, 24h * 365},
                    "How far ahead of our clock a record's time may be; it is rejected beyond.");
  keys.add_integer("ingest.days_max", decoder.days_max, {1, 10'000},
                   "Distinct days of one batch; records of further days are rejected.");
  keys.add_integer("ingest.reply_errors_max", config.ingest.reply_errors_max, {0, 100'000},
                   "Rejected records listed in one answer.");
  keys.add_choice("privacy.client_ip", decoder.client_ip,
                  {{"keep", record::ClientIpPrivacy::keep},
                   {"truncate", record::ClientIpPrivacy::truncate},
                   {"drop", record::ClientIpPrivacy::drop}},
                  "Client addresses: as they are, cut to /24 (IPv4) or /48 (IPv6), or not at all.");
  keys.add_text_list("privacy.redact_query_parameters", decoder.redacted_query_parameters,
                     "Query parameters whose values are replaced, in queries and referrers.",
                     check_not_empty);
  keys.add_list<ingest::ApiKey>(
      "api_keys", config.ingest.api_keys,
      "Who may send, and for which site (`millrace key create`). None: everybody on loopback.",
      [](ConfigKeys& element, ingest::ApiKey& key) {
        element.add_text("name", key.name, "Shown in logs; a part of batch_id.");
        element.require("name");
        element.add_secret("sha256", key.sha256, "SHA-256 of the key, in hexadecimal.",
                           ingest::check_sha256);
        element.require("sha256");
        element.add_text("site", key.site, "The site of all that is sent with the key.");
        element.require("site");
        element.add_integer("records_per_second_max", key.records_per_second_max,
                            {0, 1'000'000'000}, "429 beyond; 0: no limit.");
      });
}

void add_kafka_keys(ConfigKeys& keys, journal::KafkaOptions& kafka) {
  keys.add_text_list("journal.kafka.brokers", kafka.brokers, "HOST:PORT of some of the brokers.");
  keys.add_text("journal.kafka.topic", kafka.topic, "The topic; its partitions are the journal's.");
  keys.add_text("journal.kafka.client_id", kafka.client_id, "How the brokers name this process.");
  keys.add_choice("journal.kafka.security", kafka.security,
                  {{"plaintext", journal::KafkaSecurity::plaintext},
                   {"ssl", journal::KafkaSecurity::ssl},
                   {"sasl_plaintext", journal::KafkaSecurity::sasl_plaintext},
                   {"sasl_ssl", journal::KafkaSecurity::sasl_ssl}},
                  "Whether to use TLS, and whether to log in.");
  keys.add_text("journal.kafka.ssl_ca_file", kafka.ssl_ca_file,
                "Certificates to trust (PEM). Empty: the system's.");
  keys.add_text("journal.kafka.ssl_certificate_file", kafka.ssl_certificate_file,
                "Our own certificate (PEM), where the brokers want one.");
  keys.add_text("journal.kafka.ssl_key_file", kafka.ssl_key_file, "The key of our certificate.");
  keys.add_secret("journal.kafka.ssl_key_password", kafka.ssl_key_password,
                  "The password of that key.");
  keys.add_text("journal.kafka.sasl_mechanism", kafka.sasl_mechanism,
                "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.");
  keys.add_text("journal.kafka.sasl_username", kafka.sasl_username, "For PLAIN and SCRAM.");
  keys.add_secret("journal.kafka.sasl_password", kafka.sasl_password, "For PLAIN and SCRAM.");
  keys.add_text("journal.kafka.compression", kafka.compression,
                "none, gzip, snappy, lz4 or zstd, of what is appended.");
  keys.add_duration("journal.kafka.linger", kafka.linger, {0ms, 1min},
                    "How long an entry may wait for others that go with it.");
  keys.add_duration("journal.kafka.delivery_timeout", kafka.delivery_timeout, {1s, 1h},
                    "How long a batch may wait for the brokers; 503 beyond.");
  keys.add_text("journal.kafka.group", kafka.group, "The consumer group of the writers.");
  keys.add_text("journal.kafka.group_instance_id", kafka.group_instance_id,
                "A name of this writer for static membership; empty: none.");
  keys.add_duration("journal.kafka.session_timeout", kafka.session_timeout, {6s, 1h},
                    "A writer that the brokers do not hear from for this long is given up.");
  keys.add_duration("journal.kafka.max_poll_interval", kafka.max_poll_interval, {6s, 24h},
                    "So is one that reads nothing for this long.");
  keys.add_list<journal::KafkaProperty>(
      "journal.kafka.properties", kafka.properties,
      "Any other property of librdkafka. They win over the keys above.",
      [](ConfigKeys& element, journal::KafkaProperty& property) {
        element.add_text("name", property.name, "As in librdkafka's CONFIGURATION.md.");
        element.require("name");
        element.add_secret("value", property.value, "Not shown: it may be a secret.");
      });
}

void add_s3_keys(ConfigKeys& keys, AppConfig& config) {
  keys.add_text("lake", config.lake,
                "Where the tables are: a folder, or s3://BUCKET/PREFIX. Empty: lake in the data "
                "folder.",
                store::check_location);
  keys.add_text("analytics", config.analytics,
                "Where the JSON summaries are, likewise. Empty: analytics in the data folder.",
                store::check_location);
  auto& s3 = config.s3;
  keys.add_text("s3.endpoint", s3.endpoint,
                "URL of the service, such as http://127.0.0.1:9000. Empty: AWS.",
                store::check_s3_endpoint);
  keys.add_text("s3.region", s3.region, "Empty: AWS_REGION, AWS_DEFAULT_REGION, or us-east-1.");
  keys.add_bool("s3.path_style", s3.uses_path_style,
                "The bucket is in the path of URLs, not in the name of the host.");
  keys.add_text("s3.ca_file", s3.ca_file, "Certificates to trust (PEM). Empty: the system's.");
  keys.add_secret("s3.access_key_id", s3.access_key_id,
                  "Empty: found as AWS's tools do it: environment, shared files, web identity "
                  "(IRSA), container or instance; what expires is renewed.");
  keys.add_secret("s3.secret_access_key", s3.secret_access_key, "Belongs to the access key.");
  keys.add_secret("s3.session_token", s3.session_token, "Of temporary keys.");
  keys.add_duration("s3.connect_timeout", s3.connect_timeout, {10ms, 10min},
                    "How long a connection may take.");
  keys.add_duration("s3.request_timeout", s3.request_timeout, {100ms, 1h},
                    "How long one request may stand still.");
  keys.add_duration("s3.retry_timeout", s3.retry_timeout, {0ms, 1h},
                    "How long a request that fails in passing is sent again.");
  keys.add_size("s3.part_size", s3.part_size_bytes, {5 * mib, gib},
                "Larger files are sent in parts of this size; each open file holds one in memory.");
  keys.add_text(
      "cache.directory", config.cache_directory,
      "Where copies of files of S3 are kept for reading. Empty: cache in the data folder.");
  keys.add_size("cache.size_max", config.cache_size_bytes_max, {mib, 1024 * 1024 * gib},
                "All of them together; a query that needs more is refused.");
}

void add_rollup_keys(ConfigKeys& keys, AppConfig& config) {
  using rollup::Measure;
  using rollup::MeasureFunction;
  keys.add_list<rollup::RollupDefinition>(
      "rollups", config.rollups,
      "Sums by the hour and site besides those by path, user agent, status and crawler. A changed "
      "one is made anew by `millrace aggregate --rebuild rollup_NAME`.",
      [](ConfigKeys& element, rollup::RollupDefinition& rollup) {
        element.add_text("name", rollup.name, "Its table is rollup_NAME.");
        element.require("name");
        element.add_text_list("dimensions", rollup.dimensions,
                              "Columns of access_logs to sum up by.");
        element.add_text("filter", rollup.filter,
                         "SQL on a record, such as \"status >= 500\"; empty: all records.");
        element.add_list<Measure>(
            "measures", rollup.measures, "What is summed up.",
            [](ConfigKeys& inner, Measure& measure) {
              inner.add_text("name", measure.name, "The column's name in the table.");
              inner.require("name");
              inner.add_choice("function", measure.function,
                               {{"count", MeasureFunction::count},
                                {"sum", MeasureFunction::sum},
                                {"min", MeasureFunction::min},
                                {"max", MeasureFunction::max}},
                               "Of the records, or of one of their columns.");
              inner.add_text("column", measure.column, "Of access_logs; none for count.");
              inner.add_text("where", measure.condition,
                             "SQL on a record: only such ones count; empty: all.");
            });
      });
}

void add_query_keys(ConfigKeys& keys, AppConfig& config) {
  keys.add_bool("query.enabled", config.query_enabled,
                "`serve` has the analytics API and the web page beside the ingestion API.");
  keys.add_list<analytics::ReadKey>(
      "query.keys", config.query.access.keys,
      "Who may read (`millrace key create --read`). None: everybody on loopback, unless there are "
      "api_keys: "
      "then nobody.",
      [](ConfigKeys& element, analytics::ReadKey& key) {
        element.add_text("name", key.name, "Tells the keys apart.");
        element.require("name");
        element.add_secret("sha256", key.sha256, "SHA-256 of the key, in hexadecimal.",
                           ingest::check_sha256);
        element.require("sha256");
        element.add_text_list("sites", key.sites, "What may be read with it; none: all sites.",
                              check_not_empty);
      });
  keys.add_bool("query.allow_unauthenticated", config.query.access.takes_any_host,
                "Without query.keys everybody who reaches the port can read, by whatever name.");
  auto& pool = config.query.pool;
  keys.add_integer("query.concurrency", pool.threads, {1, 64}, "Questions answered at once.");
  keys.add_integer("query.waiting_max", pool.waiting_max, {1, 100'000},
                   "Further questions that wait; 503 beyond.");
  keys.add_duration("query.timeout", pool.timeout, {1ms, 1h},
                    "How long an answer may take; 503 beyond.");
  keys.add_size("query.memory_max", pool.engine.memory_bytes_max, {64 * mib, 1024 * gib},
                "Memory of each question that is being answered; what needs more goes to disk.");
  keys.add_integer("query.threads", pool.engine.threads, {1, 256}, "Threads of each.");
}

void add_storage_keys(ConfigKeys& keys, AppConfig& config) {
  keys.add_choice("journal.kind", config.journal_kind,
                  {{"embedded", JournalKind::embedded}, {"kafka", JournalKind::kafka}},
                  "Segment files in the data folder, for one process; or a Kafka topic.");
  auto& journal = config.journal;
  keys.add_size("journal.segment_size_max", journal.segment_size_bytes_max, {64 * kib, 4 * gib},
                "A segment file that reaches this is followed by a new one.");
  keys.add_size("journal.entry_size_max", journal.entry_size_bytes_max, {kib, gib},
                "Largest batch in its canonical form; 413 beyond.");
  keys.add_size("journal.queue_size_max", journal.queue_size_bytes_max, {kib, 64 * gib},
                "Batches that wait for the disk; 503 beyond.");
  keys.add_size("journal.size_max", journal.journal_size_bytes_max, {mib, 1024 * 1024 * gib},
                "All that the tables do not have yet; 503 beyond.");
  add_kafka_keys(keys, config.kafka);
  auto& flush = config.writer.flush;
  keys.add_duration("writer.flush_age", flush.age_max, {10ms, 24h},
                    "Records are in the table this long after they were read, at the latest.");
  keys.add_duration("writer.flush_idle", config.flush_idle, {0ms, 24h},
                    "Records are written when no more came for this long; 0: not looked at.");
  keys.add_size("writer.flush_size", flush.journal_bytes_max, {kib, 64 * gib},
                "Records are written when so much of the journal was read.");
  keys.add_size("writer.buffer_size_max", flush.buffer_bytes_max, {mib, 1024 * gib},
                "Records are written when they take so much memory.");
  keys.add_integer("writer.flush_records", flush.records_max, {1, 1'000'000'000},
                   "Records are written when there are so many.");
  keys.add_integer("writer.flush_days", flush.days_max, {1, 10'000},
                   "Records are written when they fall into so many days.");
  keys.add_duration(
      "writer.dedupe_window", config.writer.dedupe.window, {0ms, 7 * 24h},
      "A batch whose Idempotency-Key came no longer ago than this is dropped; 0: none is.");
  keys.add_integer("writer.dedupe_keys_max", config.writer.dedupe.keys_max, {1, 1'000'000'000},
                   "Keys remembered for that, about 100 bytes each; the oldest go first.");
  keys.add_integer("writer.zstd_level", config.writer.zstd_level, {1, 19},
                   "Compression of the Parquet files.");
  keys.add_text("writer.crawler_list_file", config.crawler_list_file,
                "Crawlers of your own (JSON), which win over the built-in list. Empty: none.");
  keys.add_bool("aggregate.enabled", config.aggregate_enabled, "Keep rollups and summaries.");
  keys.add_duration("aggregate.interval", config.aggregate_interval, {10ms, 24h},
                    "How often the aggregation looks for new versions of the table.");
  add_rollup_keys(keys, config);
  auto& maintenance = config.maintenance;
  keys.add_bool("maintain.enabled", config.maintenance_enabled,
                "`serve` maintains its tables by itself; else `millrace maintain` does.");
  keys.add_duration("maintain.interval", config.maintenance_interval, {100ms, 7 * 24h},
                    "How often it looks what there is to do.");
  keys.add_size("maintain.file_size", maintenance.file_size_bytes, {mib, 16 * gib},
                "Small files are merged into files of about this size.");
  keys.add_integer("maintain.files_min", maintenance.files_min, {2, 10'000},
                   "How many small files of a day are awaited before they are merged.");
  keys.add_duration("maintain.retention", maintenance.record_retention, {0ms, 100 * 365 * 24h},
                    "Records and dead letters are kept this long, by their days (400d); 0: for "
                    "good. Rollups and summaries stay.");
  keys.add_duration("maintain.vacuum_retention", maintenance.removed_file_retention,
                    {0ms, vacuum_retention_max},
                    "Removed files are deleted this long after; readers that started before count "
                    "on it. At least a day.");
  keys.add_duration("maintain.log_retention", maintenance.log_retention, {1h, 100 * 365 * 24h},
                    "Versions of the tables that are older cannot be opened again.");
  keys.add_size("sql.memory_max", config.sql.memory_bytes_max, {64 * mib, 1024 * gib},
                "Memory of the SQL engine of the aggregation, and of that of the maintenance; what "
                "needs more goes to disk.");
  keys.add_integer("sql.threads", config.sql.threads, {1, 256}, "Threads of the SQL engine.");
}

}  // namespace

void add_keys(ConfigKeys& keys, AppConfig& config) {
  keys.add_text("data", config.data_directory, "The folder of all that the process keeps.",
                check_not_empty);
  add_s3_keys(keys, config);
  add_http_keys(keys, config);
  add_ingest_keys(keys, config);
  add_storage_keys(keys, config);
  add_query_keys(keys, config);
  keys.add_duration("shutdown.grace", config.shutdown_grace, {0ms, 1h},
                    "How long requests under way may take once a stop was asked for.");
  keys.add_choice("log.level", config.log_level,
                  {{"debug", LogLevel::debug},
                   {"info", LogLevel::info},
                   {"warn", LogLevel::warn},
                   {"error", LogLevel::error}},
                  "The least that is logged.");
  keys.add_choice("log.format", config.log_format,
                  {{"text", LogFormat::text}, {"json", LogFormat::json}},
                  "For people, or for programs.");
}

}  // namespace millrace::apps
