#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "commands.h"
#include "version.h"

namespace millrace::apps {

int complain(const std::string& message, int exit_code) {
  fmt::print(stderr, "millrace: {}\n", message);
  return exit_code;
}

void add_version_command(CLI::App& program, int& exit_code) {
  program.add_subcommand("version", "Print the version")->callback([&exit_code] {
    fmt::print("millrace {}\n", version);
    exit_code = 0;
  });
}

namespace {

int run(int argc, char** argv) {
  CLI::App program(
      "Millrace takes web access logs over HTTP, keeps every acknowledged record exactly once in "
      "a\n"
      "Delta Lake table, and sums them up by the hour.\n\n"
      "Try it:  millrace serve                            (then, in another terminal)\n"
      "         millrace generate | millrace send -\n"
      "         millrace query \"SELECT count(*) FROM access_logs\"",
      "millrace");
  program.require_subcommand(1);
  int exit_code = 0;
  add_serve_command(program, exit_code);
  add_ingest_command(program, exit_code);
  add_write_command(program, exit_code);
  add_send_command(program, exit_code);
  add_maintain_command(program, exit_code);
  add_query_command(program, exit_code);
  add_aggregate_command(program, exit_code);
  add_generate_command(program, exit_code);
  add_config_command(program, exit_code);
  add_key_command(program, exit_code);
  add_dead_letters_command(program, exit_code);
  add_healthcheck_command(program, exit_code);
  add_version_command(program, exit_code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : exit_usage;
  }
  return exit_code;
}

}  // namespace
}  // namespace millrace::apps

int main(int argc, char** argv) {
  // A reader that went away (`millrace query ... | head`) is an error of a write, not a death.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return millrace::apps::run(argc, argv);
  } catch (const std::exception& error) {
    return millrace::apps::complain(fmt::format("unexpected: {}", error.what()));
  }
}
