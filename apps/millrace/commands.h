#pragma once

#include <CLI/CLI.hpp>

namespace millrace::apps {

struct ConfigArguments;

// Each adds one subcommand to the program; running it sets `exit_code`: 0 done, 1 failed, 2 the
// command line or the configuration is at fault.
void add_serve_command(CLI::App& program, int& exit_code);
void add_ingest_command(CLI::App& program, int& exit_code);
void add_write_command(CLI::App& program, int& exit_code);
void add_maintain_command(CLI::App& program, int& exit_code);
void add_query_command(CLI::App& program, int& exit_code);
void add_aggregate_command(CLI::App& program, int& exit_code);
void add_send_command(CLI::App& program, int& exit_code);
void add_generate_command(CLI::App& program, int& exit_code);
void add_config_command(CLI::App& program, int& exit_code);
void add_key_command(CLI::App& program, int& exit_code);
void add_dead_letters_command(CLI::App& program, int& exit_code);
void add_healthcheck_command(CLI::App& program, int& exit_code);
void add_version_command(CLI::App& program, int& exit_code);

// Where the tables are: --config, --data and --lake.
void add_lake_options(CLI::App& command, ConfigArguments& arguments);

// `millrace query --serve`: the analytics API and the web page, in a process of their own. Returns
// the exit code.
int serve_queries(const ConfigArguments& arguments);

inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;

// Says `message` on standard error, as "millrace: message", and returns `exit_code`.
int complain(const std::string& message, int exit_code = exit_failed);

}  // namespace millrace::apps
