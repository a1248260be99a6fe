#include <fmt/format.h>

#include "app_config.h"
#include "commands.h"

namespace millrace::apps {

namespace {

int check_config(const std::string& file) {
  AppConfig config;
  if (const auto loaded = load_config({.file = file}, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  fmt::print("{} is fine\n", file);
  return 0;
}

int print_config(const std::string& file) {
  AppConfig config;
  ConfigKeys keys;
  add_keys(keys, config);
  if (!file.empty()) {
    if (const auto loaded = keys.load(file); !loaded)
      return complain(loaded.error().message, exit_usage);
  }
  fmt::print("{}", keys.to_yaml());
  return 0;
}

}  // namespace

void add_config_command(CLI::App& program, int& exit_code) {
  auto* command = program.add_subcommand("config", "Check or print the configuration");
  command->require_subcommand(1);
  auto checked = std::make_shared<std::string>();
  auto* check = command->add_subcommand("check", "Say what is wrong with a file, and where");
  check->add_option("FILE", *checked, "YAML file")->required();
  check->callback([checked, &exit_code] { exit_code = check_config(*checked); });
  auto printed = std::make_shared<std::string>();
  auto* print =
      command->add_subcommand("print", "Print every key with its value, default and meaning");
  print->add_option("--config", *printed, "YAML file; without it the defaults are printed");
  print->callback([printed, &exit_code] { exit_code = print_config(*printed); });
}

}  // namespace millrace::apps
