#include <fmt/format.h>

#include "app_config.h"
#include "commands.h"

namespace millrace::apps {

namespace {

struct CheckArguments {
  std::string file;
  bool is_without_secrets = false;
};

int check_config(const CheckArguments& check) {
  ConfigArguments arguments{.file = check.file};
  if (check.is_without_secrets)
    arguments.secrets_of_others = {"api_keys", "query.keys", "journal.kafka", "s3"};
  AppConfig config;
  if (const auto loaded = load_config(arguments, config); !loaded) {
    return complain(loaded.error().message, exit_usage);
  }
  if (!check.is_without_secrets) {
    if (const auto list = open_crawler_list(config); !list) {
      return complain(list.error().message, exit_usage);
    }
  }
  fmt::print("{} is fine{}\n", check.file,
             check.is_without_secrets ? ", as far as can be said without the secrets" : "");
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
  auto checked = std::make_shared<CheckArguments>();
  auto* check = command->add_subcommand("check", "Say what is wrong with a file, and where");
  check->add_option("FILE", checked->file, "YAML file")->required();
  check->add_flag("--without-secrets", checked->is_without_secrets,
                  "Look for no secret, neither in files nor in variables, and for no mounted file");
  check->callback([checked, &exit_code] { exit_code = check_config(*checked); });
  auto printed = std::make_shared<std::string>();
  auto* print =
      command->add_subcommand("print", "Print every key with its value, default and meaning");
  print->add_option("--config", *printed, "YAML file; without it the defaults are printed");
  print->callback([printed, &exit_code] { exit_code = print_config(*printed); });
}

}  // namespace millrace::apps
