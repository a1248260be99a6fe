#include <fmt/format.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/units.h"
#include "commands.h"
#include "shipper/shipper.h"

namespace millrace::apps {

namespace {

std::atomic<bool> stop_requested{false};

struct SendArguments {
  std::vector<std::string> paths;
  std::string format;
  std::string compression = "zstd";
  std::string retry_for = "5m";
  bool quiet = false;
  shipper::ShipperOptions options;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string in_groups(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

// Redraws one line on the terminal until it is destroyed.
class ProgressLine {
 public:
  ProgressLine(const shipper::ShipperProgress& progress,
               std::chrono::steady_clock::time_point start)
      : thread_([this, &progress, start] {
          std::unique_lock lock(mutex_);
          while (!done_) {
            changed_.wait_for(lock, std::chrono::milliseconds(200));
            const double megabytes = static_cast<double>(progress.bytes_read) / 1e6;
            fmt::print(stderr,
                       "\r\033[K{} records  {:.1f} MB  {:.1f} MB/s  {} rejected  {} retries",
                       in_groups(progress.records_accepted), megabytes,
                       megabytes / std::max(seconds_since(start), 0.001),
                       in_groups(progress.records_rejected), progress.retries.load());
          }
          fmt::print(stderr, "\r\033[K");
        }) {}

  ~ProgressLine() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;  // Guards done_.
  std::condition_variable changed_;
  bool done_ = false;
  std::jthread thread_;
};

void print_summary(const shipper::ShipperProgress& progress, double seconds) {
  const auto records = progress.records_accepted + progress.records_rejected;
  fmt::print(
      "sent {} records in {} batches ({:.1f} MB, {:.1f} MB on the wire) in {:.2f} s: {} "
      "accepted, {} rejected, {} not delivered, {} retries; {} records/s\n",
      in_groups(records), in_groups(progress.batches_sent),
      static_cast<double>(progress.bytes_read) / 1e6,
      static_cast<double>(progress.bytes_sent) / 1e6, seconds, in_groups(progress.records_accepted),
      in_groups(progress.records_rejected), in_groups(progress.records_undelivered),
      in_groups(progress.retries),
      in_groups(static_cast<std::uint64_t>(static_cast<double>(records) / seconds)));
}

Result<void> complete(SendArguments& arguments) {
  auto& options = arguments.options;
  while (options.url.ends_with('/')) options.url.pop_back();
  if (!arguments.format.empty()) {
    MR_TRY_ASSIGN(options.format, shipper::parse_input_format(arguments.format));
  }
  MR_TRY_ASSIGN(options.compression, shipper::parse_compression(arguments.compression));
  MR_TRY_ASSIGN(options.retry_for, parse_duration(arguments.retry_for));
  if (options.api_key.empty()) {
    if (const char* key = std::getenv("MILLRACE_API_KEY")) options.api_key = key;
  }
  return {};
}

int send(SendArguments arguments) {
  if (auto completed = complete(arguments); !completed) {
    return complain(completed.error().message, exit_usage);
  }
  // The first interrupt stops reading and sends what was read; a second one ends the process.
  struct sigaction action{};
  action.sa_handler = [](int) { stop_requested = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);

  shipper::ShipperProgress progress;
  const bool has_line = !arguments.quiet && isatty(STDERR_FILENO) != 0;
  const auto on_message = [has_line](const std::string& text) {
    fmt::print(stderr, "{}millrace: {}\n", has_line ? "\r\033[K" : "", text);
  };
  const auto start = std::chrono::steady_clock::now();
  bool is_all_read = false;
  {
    std::optional<ProgressLine> line;
    if (has_line) line.emplace(progress, start);
    is_all_read = shipper::ship_files(arguments.options, arguments.paths, stop_requested, progress,
                                      on_message);
  }
  if (!arguments.quiet) print_summary(progress, std::max(seconds_since(start), 0.001));
  return is_all_read && progress.records_undelivered == 0 ? 0 : exit_failed;
}

}  // namespace

void add_send_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<SendArguments>();
  auto* command = program.add_subcommand("send", "Post log files to a Millrace API");
  command->add_option("FILE", arguments->paths, "Log files, gzip or plain; - is standard input")
      ->required();
  command->add_option("--ca-file", arguments->options.ca_file,
                      "PEM file of certificates to trust (default: the system's)");
  command->add_option("--to", arguments->options.url, "URL of the API")
      ->default_val("http://127.0.0.1:8080");
  command->add_option("--format", arguments->format,
                      "combined, json, ndjson or csv (default: by extension and first byte)");
  command->add_option("--key", arguments->options.api_key,
                      "API key; better: the environment variable MILLRACE_API_KEY");
  command->add_option("--compression", arguments->compression, "none, gzip or zstd")
      ->capture_default_str();
  command
      ->add_option("--batch-records", arguments->options.limits.records_max,
                   "Most records of one request")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--connections", arguments->options.connections, "Requests under way at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--retry-for", arguments->retry_for, "Give a batch up after this long")
      ->capture_default_str();
  command->add_flag("--quiet", arguments->quiet, "Print problems only");
  command->footer(
      "Exits 0 when every batch was delivered. Rejected records are counted, shown (the first 20)\n"
      "and kept by the server: see `millrace dead-letters list`.\n"
      "A file that is sent again within the server's writer.dedupe_window (1h), in batches of the\n"
      "same size, adds nothing. Of a file that has grown, the last batch is a new one.\n"
      "Follow a log:  tail -F access.log | millrace send -");
  command->callback([arguments, &exit_code] { exit_code = send(*arguments); });
}

}  // namespace millrace::apps
