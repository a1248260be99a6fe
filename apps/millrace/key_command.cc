#include <fmt/format.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>

#include "commands.h"

namespace millrace::apps {

namespace {

std::string hex(const unsigned char* bytes, std::size_t size_bytes) {
  std::string text;
  for (std::size_t i = 0; i < size_bytes; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

int create_key(const std::string& name, const std::string& site) {
  std::array<unsigned char, 24> random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return complain("the system gave no random bytes");
  }
  const std::string key = "mr_" + hex(random.data(), random.size());
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  fmt::print(
      "Key (shown once; give it to the sender):\n  {}\n\n"
      "Its hash, for the server's configuration:\n"
      "api_keys:\n  - name: \"{}\"\n    sha256: {}\n    site: \"{}\"\n",
      key, name, hex(digest.data(), digest.size()), site);
  return 0;
}

}  // namespace

void add_key_command(CLI::App& program, int& exit_code) {
  auto* command = program.add_subcommand("key", "API keys");
  command->require_subcommand(1);
  auto* create =
      command->add_subcommand("create", "Make a key and the hash that the server is given");
  auto name = std::make_shared<std::string>();
  auto site = std::make_shared<std::string>();
  // Quotes and backslashes would have to be escaped in the YAML that is printed.
  const CLI::Validator plain(
      [](std::string& text) {
        return text.find_first_of("\"\\\n/") == std::string::npos
                   ? std::string()
                   : std::string("want no quote, backslash, slash or line break");
      },
      "TEXT", "plain");
  create->add_option("--name", *name, "Whose key it is; shown in logs")
      ->default_val("sender")
      ->check(plain);
  create->add_option("--site", *site, "The site of the records sent with it")
      ->default_val("default")
      ->check(plain);
  create->callback([name, site, &exit_code] { exit_code = create_key(*name, *site); });
}

}  // namespace millrace::apps
