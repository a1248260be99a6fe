#include <fmt/format.h>

#include "commands.h"
#include "http_client/client.h"

namespace millrace::apps {

namespace {

int check_health(std::string url, const std::string& ca_file) {
  while (url.ends_with('/')) url.pop_back();
  http_client::Client client({.timeout = std::chrono::seconds(5), .ca_file = ca_file});
  const auto response = client.get(url + "/readyz");
  if (!response) return complain(response.error().message);
  if (response->status != 200) {
    return complain(fmt::format("{}/readyz: HTTP {}: {}", url, response->status, response->body));
  }
  return 0;
}

}  // namespace

void add_healthcheck_command(CLI::App& program, int& exit_code) {
  auto url = std::make_shared<std::string>();
  auto* command = program.add_subcommand(
      "healthcheck", "Exit 0 if a server is ready, for containers without a shell");
  command->add_option("--url", *url, "URL of the API or the admin listener")
      ->default_val("http://127.0.0.1:8080");
  auto ca_file = std::make_shared<std::string>();
  command->add_option("--ca-file", *ca_file,
                      "PEM file of certificates to trust (default: the system's)");
  command->callback([url, ca_file, &exit_code] { exit_code = check_health(*url, *ca_file); });
}

}  // namespace millrace::apps
