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

struct KeyArguments {
  std::string name = "sender";
  std::vector<std::string> sites{};
  bool reads = false;
};

// What the configuration is given.
std::string entry_of(const KeyArguments& arguments, const std::string& sha256) {
  std::string entry = fmt::format("  - name: \"{}\"\n    sha256: {}\n", arguments.name, sha256);
  if (!arguments.reads) {
    const std::string site = arguments.sites.empty() ? "default" : arguments.sites.front();
    return fmt::format("api_keys:\n{}    site: \"{}\"\n", entry, site);
  }
  std::string sites;
  for (const std::string& site : arguments.sites) {
    sites += fmt::format("{}\"{}\"", sites.empty() ? "" : ", ", site);
  }
  if (!sites.empty()) entry += fmt::format("    sites: [{}]\n", sites);
  return "query:\n keys:\n" + entry;
}

int create_key(const KeyArguments& arguments) {
  if (!arguments.reads && arguments.sites.size() > 1) {
    return complain("--site: what is sent with one key is of one site", exit_usage);
  }
  std::array<unsigned char, 24> random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return complain("the system gave no random bytes");
  }
  const std::string key = "mr_" + hex(random.data(), random.size());
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  fmt::print(
      "Key (shown once; give it to the {}):\n  {}\n\nIts hash, for the server's configuration:\n{}",
      arguments.reads ? "reader" : "sender", key,
      entry_of(arguments, hex(digest.data(), digest.size())));
  return 0;
}

}  // namespace

void add_key_command(CLI::App& program, int& exit_code) {
  auto* command = program.add_subcommand("key", "API keys");
  command->require_subcommand(1);
  auto* create =
      command->add_subcommand("create", "Make a key and the hash that the server is given");
  auto arguments = std::make_shared<KeyArguments>();
  // Quotes and backslashes would have to be escaped in the YAML that is printed.
  const CLI::Validator plain(
      [](std::string& text) {
        return text.find_first_of("\"\\\n/") == std::string::npos
                   ? std::string()
                   : std::string("want no quote, backslash, slash or line break");
      },
      "TEXT", "plain");
  create->add_option("--name", arguments->name, "Whose key it is; shown in logs")
      ->capture_default_str()
      ->check(plain);
  create
      ->add_option(
          "--site", arguments->sites,
          "The site of the records sent with it (default: default); of a read key, what it "
          "shows, as often as there are sites (default: all)")
      ->check(plain);
  create->add_flag("--read", arguments->reads,
                   "A key to read with: the web page, the analytics API");
  create->callback([arguments, &exit_code] { exit_code = create_key(*arguments); });
}

}  // namespace millrace::apps
