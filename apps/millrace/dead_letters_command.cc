#include <fmt/format.h>

#include <atomic>

#include "base/units.h"
#include "commands.h"
#include "lake_query.h"
#include "shipper/shipper.h"

namespace millrace::apps {

namespace {

struct DeadLettersArguments {
  ConfigArguments where;
  std::string format = "table";
  std::string since;
  int limit = 20;
  shipper::ShipperOptions shipper;
};

std::string condition(const DeadLettersArguments& arguments) {
  return arguments.since.empty() ? std::string("true")
                                 : fmt::format("received_at >= CAST({} AS TIMESTAMPTZ)",
                                               sql::quote_text(arguments.since));
}

int list(const DeadLettersArguments& arguments) {
  const auto format = query::parse_result_format(arguments.format);
  if (!format) return complain("--format: " + format.error().message, exit_usage);
  const auto engine = open_query_engine({});
  if (!engine) return complain(engine.error().message);
  const auto sink = query::format_result(*format, [](std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  });
  const std::string statement = fmt::format(
      "SELECT received_at, site, source, field, reason, payload FROM dead_letters WHERE {} "
      "ORDER BY received_at DESC LIMIT {}",
      condition(arguments), arguments.limit);
  const auto done = query_lake(**engine, arguments.where, {}, statement, *sink);
  if (!done) return complain(done.error().message);
  sink->finish();
  return 0;
}

// What stands alone in a format, has not been cut, and has not been accepted from a replay before.
// The key is of the letter, whatever other letters there are.
std::string replayable(const DeadLettersArguments& arguments) {
  return fmt::format(
      "WITH letters AS (SELECT received_at, payload, 'replay-' || left(sha256(concat_ws('|', "
      "received_at, coalesce(batch_id, ''), payload, row_number() OVER (PARTITION BY received_at, "
      "batch_id, payload))), 32) AS key FROM dead_letters WHERE source = 'request' AND {} "
      "AND octet_length(encode(payload)) < 4096 AND NOT contains(payload, chr(10)) "
      "AND (starts_with(payload, '{{') OR contains(payload, ' ['))) "
      "SELECT payload, key FROM letters WHERE key NOT IN (SELECT right(batch_id, 39) FROM "
      "access_logs WHERE contains(batch_id, 'replay-')) ORDER BY received_at",
      condition(arguments));
}

// Sends each dead letter as a batch of its own, so that one that is accepted is never sent again
// and one that is rejected again leaves no second dead letter.
class LetterSender final : public sql::RowSink {
 public:
  explicit LetterSender(shipper::Shipper& shipper) : shipper_(shipper) {}

  void columns(const std::vector<sql::ResultColumn>&) override {}

  bool row(const sql::ResultRow& row) override {
    const std::string& payload = row.at(0).value();
    ++count_;
    return shipper_.send({.name = fmt::format("dead letter {}", count_),
                          .format = payload.starts_with('{') ? shipper::InputFormat::ndjson
                                                             : shipper::InputFormat::combined,
                          .body = payload + "\n",
                          .record_count = 1,
                          .idempotency_key = row.at(1).value()});
  }

  std::size_t count() const { return count_; }

 private:
  shipper::Shipper& shipper_;
  std::size_t count_ = 0;
};

Result<int> replay(DeadLettersArguments& arguments) {
  MR_TRY_ASSIGN(const auto engine, open_query_engine({}));
  const std::atomic<bool> never{false};
  shipper::ShipperProgress progress;
  arguments.shipper.is_strict = true;
  arguments.shipper.compression = shipper::Compression::none;
  shipper::Shipper shipper(arguments.shipper, progress, never, [](const std::string& text) {
    fmt::print(stderr, "millrace: {}\n", text);
  });
  LetterSender sender(shipper);
  MR_TRY(query_lake(*engine, arguments.where, {}, replayable(arguments), sender));
  shipper.finish();
  fmt::print("sent {} dead letters again: {} accepted, {} rejected again, {} not delivered\n",
             sender.count(), progress.records_accepted.load(), progress.records_rejected.load(),
             progress.records_undelivered.load());
  return progress.records_undelivered > 0 ? exit_failed : 0;
}

int run_replay(DeadLettersArguments arguments) {
  const auto done = replay(arguments);
  return done ? *done : complain(done.error().message);
}

}  // namespace

void add_dead_letters_command(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<DeadLettersArguments>();
  auto* command = program.add_subcommand("dead-letters", "Records that were rejected, and why");
  command->require_subcommand(1);
  const auto add_common = [&arguments](CLI::App* subcommand) {
    add_lake_options(*subcommand, arguments->where);
    subcommand->add_option("--since", arguments->since,
                           "Received at this time or later (RFC 3339)");
  };
  auto* list_command = command->add_subcommand("list", "Show them, newest first");
  add_common(list_command);
  list_command->add_option("--limit", arguments->limit, "How many")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  list_command->add_option("--format", arguments->format, "table, csv, json or ndjson")
      ->capture_default_str();
  list_command->callback([arguments, &exit_code] { exit_code = list(*arguments); });
  auto* replay_command = command->add_subcommand(
      "replay",
      "Send them again, after the limit or the sender was mended; each is accepted once, and what "
      "is rejected again stays as it is");
  add_common(replay_command);
  replay_command->add_option("--to", arguments->shipper.url, "URL of the API")
      ->default_val("http://127.0.0.1:8080");
  replay_command->add_option("--ca-file", arguments->shipper.ca_file,
                             "PEM file of certificates to trust (default: the system's)");
  replay_command->add_option("--key", arguments->shipper.api_key, "API key");
  replay_command->footer(
      "Records that were cut at 4 KiB, and those that do not stand alone (CSV), are not sent.");
  replay_command->callback([arguments, &exit_code] { exit_code = run_replay(*arguments); });
}

}  // namespace millrace::apps
