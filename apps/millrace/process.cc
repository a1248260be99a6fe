#include "process.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "commands.h"
#include "file_limit.h"
#include "front_door.h"
#include "ingest/admin_service.h"
#include "ingest/ingest_service.h"
#include "journal/kafka_journal.h"
#include "rollup/aggregator.h"
#include "scratch_folder.h"
#include "signals.h"
#include "store/location.h"
#include "version.h"
#include "worker_thread.h"
#include "writer/table_schemas.h"

namespace millrace::apps {

using namespace std::chrono_literals;

namespace {

std::string url_of(const char* scheme, const std::string& address, std::uint16_t port) {
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}", scheme, is_ipv6 ? fmt::format("[{}]", address) : address, port);
}

}  // namespace

class Process::Impl {
 public:
  Impl(AppConfig config, Roles roles) : config_(std::move(config)), roles_(roles) {}

  Result<void> start() {
    MR_TRY(open_journal());
    if (roles_.writes || roles_.aggregates || roles_.maintains) {
      MR_TRY_ASSIGN(lake_, open_store(config_.lake_location()));
    } else if (roles_.queries) {
      MR_TRY_ASSIGN(lake_,
                    store::open_store(config_.lake_location(), store::Access::read_only, metrics_));
    }
    if (roles_.writes) MR_TRY(start_writer());
    if (roles_.aggregates) MR_TRY(start_aggregator());
    if (roles_.maintains) MR_TRY(start_maintainer());
    if (roles_.queries) MR_TRY(start_analytics());
    if (roles_.ingests) {
      ingest_ = std::make_unique<ingest::IngestService>(config_.ingest, journal_->appender(),
                                                        clock_, metrics_, readiness_);
    }
    if (ingest_ && analytics_service_) {
      front_door_ = std::make_unique<FrontDoor>(*ingest_, *analytics_service_);
    }
    if (http::Handler* handler = api_handler()) {
      MR_TRY_ASSIGN(server_, http::Server::start(config_.http, *handler, metrics_));
    }
    return start_admin();
  }

  std::string api_url() const {
    const char* scheme = config_.http.tls_certificate_file.empty() ? "http" : "https";
    return server_ ? url_of(scheme, config_.http.address, server_->port()) : "";
  }
  std::string admin_url() const { return url_of("http", admin_address_, admin_server_->port()); }

  std::optional<std::string> wait(const std::function<void()>& reload) {
    while (!wait_for_stop_signal(250ms)) {
      if (took_reload_signal()) reload();
      if (auto reason = failure()) return reason;
    }
    return std::nullopt;
  }

  Result<void> reload(const AppConfig& config) {
    set_up_logging(config.log_format, config.log_level);
    if (ingest_) ingest_->set_keys(config.ingest.api_keys);
    if (analytics_service_) {
      analytics_service_->set_access(config.query.access);
    }
    return server_ ? server_->reload_tls() : Result<void>();
  }

  Result<void> stop() {
    log(LogLevel::info, "stopping");
    readiness_.set_draining();
    if (maintainer_) maintainer_->stop();
    if (lake_) lake_->hurry();
    if (analytics_) analytics_->hurry();
    if (server_) server_->stop(config_.shutdown_grace);
    if (analytics_service_) analytics_service_->stop();
    if (gauges_thread_) gauges_thread_->stop();
    // No entry comes any more once the journal is closed; the writer reads what is in it.
    if (journal_) journal_->close();
    if (maintainer_thread_) maintainer_thread_->stop();
    if (writer_thread_) writer_thread_->stop();
    Result<void> drained = drain_writer();
    // Its partitions go to the group's other members at once.
    writer_.reset();
    if (aggregator_thread_) {
      aggregator_thread_->stop();
      // Where the tables cannot be written there is nothing new, and no time to lose.
      if (!drained) {
        log(LogLevel::warn, "rollup: the next start goes on with what is new");
      } else if (const auto folded = aggregate_once(); !folded) {
        log(LogLevel::warn, "rollup: the last run failed; the next start goes on from there",
            {{"reason", folded.error().message}});
      }
    }
    if (admin_server_) admin_server_->stop(1s);
    log(LogLevel::info, "stopped");
    return drained;
  }

 private:
  Result<std::unique_ptr<store::ObjectStore>> open_store(const store::Location& location) {
    return store::open_store(location, store::Access::read_write, metrics_);
  }

  Result<void> open_journal() {
    if (!roles_.ingests && !roles_.writes) return {};
    if (config_.journal_kind == JournalKind::embedded) {
      MR_TRY_ASSIGN(journal_, journal::EmbeddedJournal::open(config_.journal, metrics_));
      return {};
    }
    const auto ends = !roles_.writes    ? journal::KafkaEnds::append
                      : !roles_.ingests ? journal::KafkaEnds::consume
                                        : journal::KafkaEnds::both;
    MR_TRY_ASSIGN(journal_, journal::open_kafka_journal(config_.kafka, ends, metrics_));
    return {};
  }

  Result<void> start_writer() {
    const auto open_consumer = [this](journal::Consumer::Listener& listener) {
      return journal_->open_consumer(listener);
    };
    writer::WriterOptions options = config_.writer;
    MR_TRY_ASSIGN(options.crawlers, open_crawler_list(config_));
    MR_TRY_ASSIGN(
        writer_, writer::Writer::open(std::move(options), *lake_, open_consumer, clock_, metrics_));
    writer_thread_.emplace("writer", [this] { return write(); });
    return {};
  }

  Result<void> start_aggregator() {
    MR_TRY(open_engine(scratch_, engine_));
    MR_TRY_ASSIGN(analytics_, open_store(config_.analytics_location()));
    aggregator_ = std::make_unique<rollup::Aggregator>(
        rollup::AggregatorOptions{.source_schema = writer::access_logs_schema(),
                                  .scratch_directory = scratch_->path(),
                                  .rollups = config_.rollups},
        *lake_, *analytics_, *engine_, clock_, metrics_);
    aggregator_thread_.emplace("aggregator", [this] { return aggregate(); });
    return {};
  }

  Result<void> start_maintainer() {
    MR_TRY(open_engine(maintenance_scratch_, maintenance_engine_));
    maintenance::MaintenanceOptions options = config_.maintenance;
    options.scratch_directory = maintenance_scratch_->path();
    const auto tell = [](const std::string& line) {
      log(LogLevel::info, "maintenance: worked on a table", {{"done", line}});
    };
    maintainer_ = std::make_unique<maintenance::Maintainer>(options, *lake_, *maintenance_engine_,
                                                            clock_, metrics_, tell);
    maintainer_thread_.emplace("maintenance", [this] { return maintain(); });
    return {};
  }

  Result<void> start_analytics() {
    MR_TRY_ASSIGN(ScratchFolder folder, ScratchFolder::create(config_.scratch_directory()));
    query_scratch_ = std::make_unique<ScratchFolder>(std::move(folder));
    analytics::AnalyticsOptions options = config_.query;
    options.pool.engine.temporary_directory = query_scratch_->path() + "/sql";
    // What is read from S3 has other names each time.
    options.pool.keeps_footers = !store::is_s3(config_.lake_location().url);
    options.version = version;
    analytics_service_ = std::make_unique<analytics::AnalyticsService>(
        std::move(options), *lake_, clock_, metrics_, readiness_);
    gauges_thread_.emplace("gauges", [this] { return refresh_gauges(); });
    return {};
  }

  Result<std::chrono::milliseconds> refresh_gauges() {
    std::string failure;
    try {
      const auto done = analytics_service_->refresh_gauges();
      if (!done) failure = done.error().message;
    } catch (const std::exception& error) {
      failure = error.what();
    }
    if (failure != std::exchange(gauges_failure_, failure) && !failure.empty()) {
      log(LogLevel::warn, "query: the tables cannot be read; trying again", {{"reason", failure}});
    }
    return 15s;
  }

  // What answers at the port of the API; null: nobody listens there.
  http::Handler* api_handler() {
    if (front_door_) return front_door_.get();
    if (ingest_) return ingest_.get();
    return analytics_service_.get();
  }

  Result<void> open_engine(std::unique_ptr<ScratchFolder>& scratch,
                           std::unique_ptr<sql::Engine>& engine) {
    MR_TRY_ASSIGN(ScratchFolder folder, ScratchFolder::create(config_.scratch_directory()));
    scratch = std::make_unique<ScratchFolder>(std::move(folder));
    sql::EngineOptions options = config_.sql;
    options.temporary_directory = scratch->path() + "/sql";
    MR_TRY_ASSIGN(engine, sql::Engine::open(options));
    return {};
  }

  Result<void> start_admin() {
    MR_TRY_ASSIGN(const Endpoint admin, parse_endpoint(config_.admin_listen));
    admin_address_ = admin.address;
    admin_ = std::make_unique<ingest::AdminService>(readiness_, metrics_);
    http::ServerOptions options;
    options.name = "admin";
    options.address = admin.address;
    options.port = admin.port;
    options.threads = 1;
    options.connections_max = 100;
    MR_TRY_ASSIGN(admin_server_, http::Server::start(options, *admin_, metrics_));
    return {};
  }

  // Why the process has to end.
  std::optional<std::string> failure() const {
    if (writer_thread_) {
      if (auto reason = writer_thread_->failure()) return reason;
    }
    return aggregator_thread_ ? aggregator_thread_->failure() : std::nullopt;
  }

  std::optional<std::string> unready() const {
    if (roles_.ingests) {
      if (auto reason = journal_->appender().failure()) return reason;
    }
    return failure();
  }

  Result<void> drain_writer() {
    if (!writer_thread_ || writer_thread_->failure()) return {};
    const auto give_up_at = clock_.monotonic_now() + config_.shutdown_grace;
    // What this process took runs through where it is the journal's only writer.
    const bool reads_to_end = config_.journal_kind == JournalKind::embedded;
    if (reads_to_end) MR_TRY(writer_->run_once(0ms));
    while (true) {
      auto drained = writer_->drain();
      const auto behind = reads_to_end && drained ? writer_->entries_behind() : 0;
      if (drained && behind.value_or(1) == 0) return {};
      if (clock_.monotonic_now() > give_up_at) {
        if (!drained) return drained;
        return fail(Errc::unavailable,
                    fmt::format("{} entries are still in the journal and not in the table after "
                                "shutdown.grace; the next start goes on with them",
                                behind.value_or(-1)));
      }
      MR_TRY(writer_->run_once(drained ? 0ms : 100ms));
    }
  }

  Result<std::chrono::milliseconds> write() {
    MR_TRY(writer_->run_once(100ms));
    return 0ms;
  }

  Result<rollup::AggregateSummary> aggregate_once() {
    try {
      return aggregator_->run_once();
    } catch (const std::exception& error) {
      return fail(Errc::unavailable, error.what());
    }
  }

  // Whatever is wrong with a rollup, records are taken and stored meanwhile.
  Result<std::chrono::milliseconds> aggregate() {
    const auto start = clock_.monotonic_now();
    const auto done = aggregate_once();
    const auto took = std::chrono::floor<std::chrono::milliseconds>(clock_.monotonic_now() - start);
    const std::string failure = done ? "" : done.error().message;
    const bool is_news = failure != std::exchange(aggregate_failure_, failure);
    if (!done && is_news) {
      log(LogLevel::error, "rollup: a run failed; trying again", {{"reason", failure}});
    } else if (done && is_news) {
      log(LogLevel::info, "rollup: works again");
    }
    if (done && done->files_folded > 0) {
      log(LogLevel::info, "rollup: folded new files in",
          {{"files", done->files_folded}, {"summaries", done->summaries_written}});
    }
    // Each run rewrites the hours that got records: where that takes long, do it less often.
    constexpr int rest_for_each_run = 9;
    return std::max(config_.aggregate_interval, rest_for_each_run * took);
  }

  // Whatever is wrong with a table's maintenance, all else goes on.
  Result<std::chrono::milliseconds> maintain() {
    std::string failure;
    try {
      const auto done = maintainer_->run();
      if (!done && !maintainer_->is_stopped()) failure = done.error().message;
    } catch (const std::exception& error) {
      failure = error.what();
    }
    if (failure != std::exchange(maintenance_failure_, failure) && !failure.empty()) {
      log(LogLevel::warn, "maintenance: a run failed; trying again", {{"reason", failure}});
    }
    return config_.maintenance_interval;
  }

  const AppConfig config_;
  const Roles roles_;
  const SystemClock clock_;
  MetricsRegistry metrics_;
  ingest::Readiness readiness_{{[this] { return unready(); }}};
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<store::ObjectStore> lake_;
  std::unique_ptr<store::ObjectStore> analytics_;
  std::unique_ptr<ScratchFolder> scratch_;
  std::unique_ptr<sql::Engine> engine_;
  std::unique_ptr<ScratchFolder> maintenance_scratch_;
  std::unique_ptr<sql::Engine> maintenance_engine_;
  std::unique_ptr<writer::Writer> writer_;
  std::unique_ptr<rollup::Aggregator> aggregator_;
  std::string aggregate_failure_;  // Of the last run; for its thread.
  std::unique_ptr<maintenance::Maintainer> maintainer_;
  std::string maintenance_failure_;  // Likewise.
  std::unique_ptr<ingest::IngestService> ingest_;
  std::unique_ptr<ScratchFolder> query_scratch_;
  std::unique_ptr<analytics::AnalyticsService> analytics_service_;
  std::string gauges_failure_;  // Of the last time; for its thread.
  std::unique_ptr<FrontDoor> front_door_;
  std::unique_ptr<ingest::AdminService> admin_;
  std::string admin_address_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> admin_server_;
  std::optional<WorkerThread> writer_thread_;
  std::optional<WorkerThread> aggregator_thread_;
  std::optional<WorkerThread> maintainer_thread_;
  std::optional<WorkerThread> gauges_thread_;
};

Process::Process(AppConfig config, Roles roles)
    : impl_(std::make_unique<Impl>(std::move(config), roles)) {}
Process::~Process() = default;

Result<void> Process::start() { return impl_->start(); }
std::string Process::api_url() const { return impl_->api_url(); }
std::string Process::admin_url() const { return impl_->admin_url(); }
std::optional<std::string> Process::wait(const std::function<void()>& reload) {
  return impl_->wait(reload);
}
Result<void> Process::reload(const AppConfig& config) { return impl_->reload(config); }
Result<void> Process::stop() { return impl_->stop(); }

namespace {

// To start can take long where a service does not answer.
Result<void> start(Process& process) {
  const EndAtStopSignal watch(0);
  return process.start();
}

// A process may be given the secrets of its own roles alone.
std::vector<std::string> secrets_of_others(Roles roles) {
  std::vector<std::string> paths;
  if (!roles.ingests) paths.emplace_back("api_keys");
  if (!roles.queries) paths.emplace_back("query.keys");
  if (!roles.ingests && !roles.writes) paths.emplace_back("journal.kafka");
  const bool has_tables = roles.writes || roles.aggregates || roles.maintains || roles.queries;
  if (!has_tables) paths.emplace_back("s3");
  return paths;
}

// What is wrong with the file now has no effect on the process.
void reload(Process& process, const ConfigArguments& arguments) {
  AppConfig config;
  auto done = load_config(arguments, config);
  if (done) done = process.reload(config);
  if (done) {
    log(LogLevel::info, "reloaded keys, certificate and log level");
  } else {
    log(LogLevel::error, "the configuration could not be reloaded",
        {{"reason", done.error().message}});
  }
}

// Bodies of some 100 kB come and go all the time. By its defaults glibc gives the memory of each
// back to the kernel, which clears it page by page for the next: accepting batches of 1,000 cost
// 0.53 CPU s per million records, then 0.48.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

}  // namespace

int run_process(ConfigArguments arguments, Roles roles,
                std::string (*welcome)(const Process& process, const AppConfig& config)) {
  arguments.secrets_of_others = secrets_of_others(roles);
  arguments.reads_only = roles.queries && !roles.ingests;
  AppConfig config;
  if (const auto loaded = load_config(arguments, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  if (config.journal_kind == JournalKind::embedded && roles.ingests != roles.writes) {
    return complain(
        "journal.kind: embedded works within one process: use `millrace serve`, or set "
        "journal.kind: kafka",
        exit_usage);
  }
  roles.aggregates = roles.aggregates && config.aggregate_enabled;
  roles.maintains = roles.maintains && config.maintenance_enabled;
  roles.queries = roles.queries && (config.query_enabled || arguments.reads_only);
  set_up_logging(config.log_format, config.log_level);
  keep_freed_memory();
  config.http.connections_max = raise_file_limit(config.http.connections_max);
  block_stop_signals();
  block_reload_signal();
  Process process(config, roles);
  if (const auto started = start(process); !started) return complain(started.error().message);
  fmt::print("{}", welcome(process, config));
  std::fflush(stdout);
  const auto failure = process.wait([&] { reload(process, arguments); });
  const auto stopped = process.stop();
  if (failure) return complain(*failure);
  if (!stopped) return complain(stopped.error().message);
  return 0;
}

}  // namespace millrace::apps
