#include <fmt/format.h>

#include <cstdio>

#include "base/time_text.h"
#include "base/units.h"
#include "commands.h"
#include "sample/traffic.h"

namespace millrace::apps {

namespace {

struct GenerateArguments {
  sample::TrafficOptions options;
  std::string format = "combined";
  std::string begin;
  std::string span = "1d";
};

Result<void> complete(GenerateArguments& arguments) {
  auto& options = arguments.options;
  if (arguments.format == "combined") {
    options.format = sample::TrafficFormat::combined;
  } else if (arguments.format == "ndjson") {
    options.format = sample::TrafficFormat::ndjson;
  } else {
    return fail(Errc::invalid_argument,
                fmt::format("--format: \"{}\" is not a format (want combined or ndjson)",
                            arguments.format));
  }
  MR_TRY_ASSIGN(const auto span, parse_duration(arguments.span));
  options.span = std::chrono::duration_cast<std::chrono::seconds>(span);
  if (options.span < std::chrono::minutes(1)) {
    return fail(Errc::invalid_argument, "--span: want at least 1m");
  }
  if (arguments.begin.empty()) {
    options.begin = day_of(SystemClock().now()) - std::chrono::days(1);
  } else {
    MR_TRY_ASSIGN(options.begin, parse_rfc3339(arguments.begin));
  }
  return {};
}

int generate(GenerateArguments arguments) {
  if (auto completed = complete(arguments); !completed) {
    return complain(completed.error().message, exit_usage);
  }
  constexpr std::size_t write_size_bytes = 256 * 1024;
  sample::Traffic traffic(arguments.options);
  std::string lines;
  bool more = true;
  while (more) {
    more = traffic.append_line(lines);
    if (lines.size() < write_size_bytes && more) continue;
    if (std::fwrite(lines.data(), 1, lines.size(), stdout) != lines.size()) return exit_failed;
    lines.clear();
  }
  return std::fflush(stdout) == 0 ? 0 : exit_failed;
}

}  // namespace

void add_generate_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<GenerateArguments>();
  auto* command = program.add_subcommand(
      "generate", "Print sample traffic of a web site: browsers, crawlers, a day's rhythm, errors");
  command->add_option("--records", arguments->options.records, "How many")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000'000}))
      ->capture_default_str();
  command->add_option("--seed", arguments->options.seed, "The same seed gives the same lines")
      ->capture_default_str();
  command->add_option("--paths", arguments->options.paths, "Distinct paths, by a Zipf law")
      ->check(CLI::Range(3, 10'000'000))
      ->capture_default_str();
  command->add_option("--begin", arguments->begin, "RFC 3339 time (default: yesterday 00:00 UTC)");
  command->add_option("--span", arguments->span, "The time that the records spread over")
      ->capture_default_str();
  command->add_option("--format", arguments->format, "combined or ndjson")->capture_default_str();
  command->callback([arguments, &exit_code] { exit_code = generate(*arguments); });
}

}  // namespace millrace::apps
