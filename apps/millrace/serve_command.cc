#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "app_config.h"
#include "base/posix_file.h"
#include "commands.h"
#include "rollup/aggregator.h"
#include "signals.h"
#include "store/local_store.h"
#include "version.h"
#include "worker_thread.h"

namespace millrace::apps {

namespace {

using namespace std::chrono_literals;

// All of Millrace in one process: made in the order of the data's way, stopped in the same order,
// so that whatever was acknowledged runs through to the tables.
class ServeProcess {
 public:
  explicit ServeProcess(AppConfig config) : config_(std::move(config)) {}

  Result<void> start() {
    MR_TRY(create_directories(config_.scratch_directory()));
    MR_TRY_ASSIGN(journal_, journal::EmbeddedJournal::open(config_.journal, metrics_));
    // Only now: the journal's lock says that nobody else uses the folder.
    clear_scratch();
    MR_TRY_ASSIGN(lake_, store::LocalStore::open(config_.lake_directory()));
    MR_TRY_ASSIGN(analytics_, store::LocalStore::open(config_.analytics_directory()));
    MR_TRY_ASSIGN(engine_, sql::Engine::open(config_.sql));
    MR_TRY_ASSIGN(writer_, writer::Writer::open(
                               config_.writer, *lake_,
                               [this](journal::Consumer::Listener& listener) {
                                 return journal_->open_consumer(listener);
                               },
                               clock_, metrics_));
    aggregator_ = std::make_unique<rollup::Aggregator>(
        rollup::AggregatorOptions{.scratch_directory = config_.scratch_directory()}, *lake_,
        *analytics_, *engine_, clock_, metrics_);
    ingest_ = std::make_unique<ingest::IngestService>(
        config_.ingest, journal_->appender(), clock_, metrics_,
        std::vector<ingest::ReadinessCheck>{[this] { return failure(); }});
    admin_ = std::make_unique<ingest::AdminService>(*ingest_, metrics_);
    writer_thread_.emplace("writer", [this] { return write(); });
    if (config_.aggregate_enabled)
      aggregator_thread_.emplace("aggregator", [this] { return aggregate(); });
    MR_TRY_ASSIGN(server_, http::Server::start(config_.http, *ingest_, metrics_));
    MR_TRY_ASSIGN(const Endpoint admin, parse_endpoint(config_.admin_listen));
    http::ServerOptions admin_options;
    admin_options.name = "admin";
    admin_options.address = admin.address;
    admin_options.port = admin.port;
    admin_options.threads = 1;
    admin_options.connections_max = 100;
    MR_TRY_ASSIGN(admin_server_, http::Server::start(admin_options, *admin_, metrics_));
    return {};
  }

  void print_welcome() const {
    const std::string host = config_.http.address.find(':') == std::string::npos
                                 ? config_.http.address
                                 : fmt::format("[{}]", config_.http.address);
    const std::string url = fmt::format("http://{}:{}", host, server_->port());
    fmt::print(
        "Millrace {} listens on {}\n"
        "Metrics: http://127.0.0.1:{}/metrics\n"
        "Data:    {}\n\n"
        "Send a batch:\n"
        "  curl -X POST {}/logs -H 'Content-Type: application/json' \\\n"
        "    -d '[{{\"timestamp\": \"2026-01-02T03:04:05Z\", \"path\": \"/hello\", \"userAgent\": "
        "\"curl\"}}]'\n"
        "Query it a few seconds later:\n"
        "  millrace query --data {} \"SELECT path, count(*) AS n FROM access_logs GROUP BY path "
        "ORDER BY n "
        "DESC LIMIT 10\"\n",
        version, url, admin_server_->port(),
        std::filesystem::absolute(config_.data_directory).string(), url, config_.data_directory);
    std::fflush(stdout);
  }

  // Waits for a signal, or for a part that cannot go on.
  std::optional<std::string> run() {
    while (!wait_for_stop_signal(250ms)) {
      if (auto reason = failure()) return reason;
    }
    return std::nullopt;
  }

  Result<void> stop() {
    log(LogLevel::info, "stopping");
    ingest_->set_draining();
    if (server_) server_->stop(config_.shutdown_grace);
    // No entry comes any more once the journal is closed; the writer reads what is in it.
    journal_->close();
    writer_thread_->stop();
    Result<void> drained = drain_writer();
    if (aggregator_thread_) {
      aggregator_thread_->stop();
      if (const auto folded = aggregator_->run_once(); !folded && drained) {
        log(LogLevel::warn, "rollup: the last run failed; the next start goes on from there",
            {{"reason", folded.error().message}});
      }
    }
    if (admin_server_) admin_server_->stop(1s);
    log(LogLevel::info, "stopped");
    return drained;
  }

 private:
  std::optional<std::string> failure() const {
    if (writer_thread_) {
      if (auto reason = writer_thread_->failure()) return reason;
    }
    return aggregator_thread_ ? aggregator_thread_->failure() : std::nullopt;
  }

  // What a crash has left; nothing in it is needed.
  void clear_scratch() const {
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(config_.scratch_directory(), ignored)) {
      std::filesystem::remove_all(entry.path(), ignored);
    }
  }

  Result<void> drain_writer() {
    if (writer_thread_->failure()) return {};
    const auto give_up_at = clock_.monotonic_now() + config_.shutdown_grace;
    MR_TRY(writer_->run_once(0ms));
    while (true) {
      auto drained = writer_->drain();
      if (drained || clock_.monotonic_now() > give_up_at) return drained;
      MR_TRY(writer_->run_once(100ms));
    }
  }

  Result<std::chrono::milliseconds> write() {
    MR_TRY(writer_->run_once(100ms));
    return 0ms;
  }

  // Whatever is wrong with a rollup, records are taken and stored meanwhile.
  Result<std::chrono::milliseconds> aggregate() {
    const auto done = aggregator_->run_once();
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
    return config_.aggregate_interval;
  }

  const AppConfig config_;
  const SystemClock clock_;
  MetricsRegistry metrics_;
  std::unique_ptr<journal::EmbeddedJournal> journal_;
  std::unique_ptr<store::LocalStore> lake_;
  std::unique_ptr<store::LocalStore> analytics_;
  std::unique_ptr<sql::Engine> engine_;
  std::unique_ptr<writer::Writer> writer_;
  std::unique_ptr<rollup::Aggregator> aggregator_;
  std::string aggregate_failure_;  // Of the last run; for its thread.
  std::unique_ptr<ingest::IngestService> ingest_;
  std::unique_ptr<ingest::AdminService> admin_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> admin_server_;
  std::optional<WorkerThread> writer_thread_;
  std::optional<WorkerThread> aggregator_thread_;
};

int serve(const ConfigArguments& arguments) {
  AppConfig config;
  if (const auto loaded = load_config(arguments, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  set_up_logging(config.log_format, config.log_level);
  block_stop_signals();
  ServeProcess process(std::move(config));
  if (const auto started = process.start(); !started) return complain(started.error().message);
  process.print_welcome();
  const auto failure = process.run();
  const auto stopped = process.stop();
  if (failure) return complain(*failure);
  if (!stopped) return complain(stopped.error().message);
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<ConfigArguments>();
  auto* command =
      program.add_subcommand("serve", "Run all of Millrace in one process and one folder");
  command->add_option("--config", arguments->file, "YAML file (see `millrace config print`)");
  command->add_option("--data", arguments->data_directory, "The data folder (default: data)");
  command->add_option("--listen", arguments->listen,
                      "HOST:PORT of the API (default: 127.0.0.1:8080)");
  command->add_option("--admin", arguments->admin_listen,
                      "HOST:PORT of /metrics (default: 127.0.0.1:8081)");
  command->footer(
      "SIGTERM and Ctrl-C stop it: requests under way are answered, and all that was\n"
      "acknowledged is written to the table before it exits 0.");
  command->callback([arguments, &exit_code] { exit_code = serve(*arguments); });
}

}  // namespace millrace::apps
