#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/config_text.h"
#include "base/testing/temp_directory.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

enum class ClientIp { keep, truncate, drop };

struct ApiKey {
  std::string name;
  std::string hash;
  std::int64_t records_per_second_max = 0;
  std::vector<std::string> scopes;
};

struct Options {
  bool is_strict = false;
  std::uint16_t port = 8080;
  double ratio_max = 100;
  std::uint64_t body_size_max = 10 << 20;
  std::chrono::milliseconds body_timeout{30'000};
  std::string data_path = "data";
  std::string host = "127.0.0.1";
  std::string password;
  ClientIp client_ip = ClientIp::keep;
  std::vector<std::string> redact = {"token", "email"};
  std::vector<ApiKey> api_keys;
};

Result<void> check_host(std::string_view host) {
  if (host.find(' ') == std::string_view::npos) return {};
  return fail(Errc::invalid_argument, "a host has no blanks");
}

void add_api_key(ConfigKeys& element, ApiKey& key) {
  element.add_text("name", key.name, "Shown in logs and metrics.");
  element.add_secret("hash", key.hash, "SHA-256 of the key.");
  element.add_integer("limit.records_per_second_max", key.records_per_second_max, {0, 1'000'000},
                      "More are refused; 0 is no limit.");
  element.add_text_list("scopes", key.scopes, "What the key is for.");
  element.require("name");
}

// The keys of a small server, with one of each type.
class ConfigTest : public testing::Test {
 protected:
  ConfigTest() { add_keys(keys, options); }
  ~ConfigTest() override { unsetenv("MILLRACE_TEST"); }

  static void add_keys(ConfigKeys& keys, Options& options) {
    keys.add_text("data_path", options.data_path, "Where everything is kept.");
    keys.add_text("http.host", options.host, "Where to listen.", check_host);
    keys.add_integer("http.port", options.port, {1, 65535}, "The port to listen on.");
    keys.add_bool("ingest.strict", options.is_strict, "Whether one bad record refuses a batch.");
    keys.add_size("ingest.body_size_max", options.body_size_max, {1 << 10, 1 << 30},
                  "Largest request body.");
    keys.add_number("ingest.decompression.ratio_max", options.ratio_max, {1, 1e4},
                    "How many times larger a body may become.");
    keys.add_duration("ingest.body_timeout", options.body_timeout, {100ms, 1h},
                      "How long a client may take to send a body.");
    keys.add_choice(
        "privacy.client_ip", options.client_ip,
        {{"keep", ClientIp::keep}, {"truncate", ClientIp::truncate}, {"drop", ClientIp::drop}},
        "What to keep of a client's address.");
    keys.add_text_list("privacy.redact", options.redact, "Query parameters to blank out.",
                       check_host);
    keys.add_secret("http.tls_password", options.password, "Opens the private key.");
    keys.add_list<ApiKey>("api_keys", options.api_keys, "Who may send.", add_api_key);
  }

  // "" where `yaml` loads, otherwise the message.
  std::string error_of(const std::string& yaml) {
    const auto loaded = keys.load_text(yaml, "c.yaml");
    if (loaded) return "";
    EXPECT_EQ(loaded.error().code, Errc::invalid_argument);
    return loaded.error().message;
  }

  Options options;
  ConfigKeys keys;
};

TEST_F(ConfigTest, LoadsEveryTypeOfKey) {
  ASSERT_EQ(error_of(R"(
data_path: /var/lib/millrace
http: {host: "::1", port: 9090, tls_password: "p: #w"}
ingest:
  strict: true
  body_size_max: 64KiB
  body_timeout: 250ms
  decompression:
    ratio_max: 12.5
privacy:
  client_ip: drop
  redact: [a, "b"]
api_keys:
  - name: shop
    hash: abc
    limit: {records_per_second_max: 5}
    scopes: [send]
  - name: blog
)"),
            "");
  EXPECT_EQ(options.data_path, "/var/lib/millrace");
  EXPECT_EQ(options.host, "::1");
  EXPECT_EQ(options.port, 9090);
  EXPECT_EQ(options.password, "p: #w");
  EXPECT_TRUE(options.is_strict);
  EXPECT_EQ(options.body_size_max, 65536U);
  EXPECT_EQ(options.body_timeout, 250ms);
  EXPECT_EQ(options.ratio_max, 12.5);
  EXPECT_EQ(options.client_ip, ClientIp::drop);
  EXPECT_THAT(options.redact, ElementsAre("a", "b"));
  ASSERT_EQ(options.api_keys.size(), 2U);
  EXPECT_EQ(options.api_keys[0].hash, "abc");
  EXPECT_EQ(options.api_keys[0].records_per_second_max, 5);
  EXPECT_THAT(options.api_keys[0].scopes, ElementsAre("send"));
  EXPECT_EQ(options.api_keys[1].name, "blog");
}

TEST_F(ConfigTest, KeepsDefaultsWhereTheFileSaysNothing) {
  for (const char* const yaml :
       {"", "# nothing\n", "---\n", "http:\n", "http: {}\ningest:\n  decompression:\n"}) {
    EXPECT_EQ(error_of(yaml), "") << yaml;
  }
  EXPECT_EQ(options.port, 8080);
  EXPECT_THAT(options.redact, ElementsAre("token", "email"));
}

TEST_F(ConfigTest, AnEmptyListIsAValue) {
  for (const char* const yaml : {"privacy: {redact: []}", "privacy:\n  redact:\n"}) {
    options.redact = {"token"};
    EXPECT_EQ(error_of(yaml), "") << yaml;
    EXPECT_TRUE(options.redact.empty()) << yaml;
  }
}

TEST_F(ConfigTest, SaysWhereAndWhatIsWrong) {
  struct Case {
    std::string yaml, expected;
  };
  const Case cases[] = {
      {"# a\ningest:\n  body_size_max: 10 apples",
       "c.yaml:3:3: ingest.body_size_max: \"10 apples\" is not a size (want e.g. 10MiB)"},
      {"ingest:\n  body_size_max: 2GiB",
       "c.yaml:2:3: ingest.body_size_max: 2GiB is more than the most allowed, 1GiB"},
      {"ingest:\n  body_timeout: 5ms",
       "c.yaml:2:3: ingest.body_timeout: 5ms is less than the least allowed, 100ms"},
      {"ingest:\n  body_timeout: 5",
       "c.yaml:2:3: ingest.body_timeout: \"5\" is not a duration (want e.g. 250ms, 5s, 1h or 7d)"},
      {"http:\n  port: 0", "c.yaml:2:3: http.port: 0 is less than the least allowed, 1"},
      {"http:\n  port: 65536", "c.yaml:2:3: http.port: 65536 is more than the most allowed, 65535"},
      {"http:\n  port: 80.5", "c.yaml:2:3: http.port: \"80.5\" is not a whole number"},
      {"http:\n  port: 99999999999999999999",
       "c.yaml:2:3: http.port: \"99999999999999999999\" is not a whole number"},
      {"http:\n  port:", "c.yaml:2:3: http.port: has no value"},
      {"http:\n  port: [80]", "c.yaml:2:3: http.port: wants a single value, not a list"},
      {"http:\n  host: a b", "c.yaml:2:3: http.host: a host has no blanks"},
      {"http:\n  host:", "c.yaml:2:3: http.host: has no value (write \"\" for an empty one)"},
      {"http: 80", "c.yaml:1:1: http: is a section, not a single value"},
      {"http: [80]", "c.yaml:1:1: http: is a section, not a list"},
      {"ingest:\n  strict: yes", "c.yaml:2:3: ingest.strict: \"yes\" is not one of true, false"},
      {"ingest:\n  decompression: {ratio_max: .nan}",
       "c.yaml:2:19: ingest.decompression.ratio_max: \".nan\" is not a number"},
      {"ingest:\n  decompression: {ratio_max: nan}",
       "c.yaml:2:19: ingest.decompression.ratio_max: nan is more than the most allowed, 10000"},
      {"privacy:\n  client_ip: hide",
       "c.yaml:2:3: privacy.client_ip: \"hide\" is not one of keep, truncate, drop"},
      {"privacy:\n  redact: token", "c.yaml:2:3: privacy.redact: wants a list, not a single value"},
      {"privacy:\n  redact:\n    - a\n    - b c",
       "c.yaml:4:7: privacy.redact[1]: a host has no blanks"},
      {"api_keys:\n  - shop", "c.yaml:2:5: api_keys[0]: wants keys and values, not a single value"},
      {"api_keys:\n  - name: a\n  - hash: abc", "c.yaml:3:5: api_keys[1].name: is required"},
      {"api_keys:\n  - name: \"\"", "c.yaml:2:5: api_keys[0].name: is required"},
      {"api_keys:\n  - name: a\n    limit:\n      records_per_second_max: -1",
       "c.yaml:4:7: api_keys[0].limit.records_per_second_max: -1 is less than the least allowed, "
       "0"},
      {"- a", "c.yaml:1:1: want sections, not a list"},
      {"a: 1\n---\nb: 2", "c.yaml: has 2 YAML documents (want one)"},
      {"? [a]\n: 1", "c.yaml:1:3: a key must be a word, not a list"},
  };
  for (const Case& test : cases) EXPECT_EQ(error_of(test.yaml), test.expected) << test.yaml;
}

TEST_F(ConfigTest, NamesTheNearestKeyForAnUnknownOne) {
  struct Case {
    std::string yaml, path, nearest;
  };
  const Case cases[] = {
      {"http: {prot: 1}", "http.prot", "http.port"},
      {"htp: {port: 1}", "htp", "http"},
      {"ingest: {body_max: 1}", "ingest.body_max", "ingest.body_size_max"},
      {"body_size_max: 1", "body_size_max", "ingest.body_size_max"},
      {"ingest: {port: 1}", "ingest.port", "http.port"},
      {"http: {tls_password_fil: a}", "http.tls_password_fil", "http.tls_password_file"},
      {"api_keys: [{name: a, hsah: b}]", "api_keys[0].hsah", "api_keys[0].hash"},
      {"http: {port_file: a}", "http.port_file", "http.port"},
      {"<<: 1", "<<", "http"},
  };
  for (const Case& test : cases) {
    EXPECT_THAT(error_of(test.yaml),
                HasSubstr(": " + test.path + ": unknown key (the nearest known key is " +
                          test.nearest + ")"));
  }
  EXPECT_EQ(error_of("http.port: 80"),
            "c.yaml:1:1: http.port: unknown key (sections are nested, not joined by dots)");
}

TEST_F(ConfigTest, RefusesAKeyGivenTwice) {
  EXPECT_EQ(error_of("http:\n  port: 1\n  host: a\n  port: 2"),
            "c.yaml:4:3: http.port: is given twice");
  EXPECT_EQ(error_of("http: {port: 1}\ningest:\nhttp: {port: 2}"),
            "c.yaml:3:1: http: is given twice");
}

TEST_F(ConfigTest, ReportsEveryErrorOfAFile) {
  EXPECT_EQ(error_of("http:\n  port: x\n  hots: a\ningest:\n  strict: 1\n"
                     "api_keys:\n  - name: a\n    nam: b"),
            "c.yaml:2:3: http.port: \"x\" is not a whole number\n"
            "c.yaml:3:3: http.hots: unknown key (the nearest known key is http.host)\n"
            "c.yaml:5:3: ingest.strict: \"1\" is not one of true, false\n"
            "c.yaml:8:5: api_keys[0].nam: unknown key (the nearest known key is api_keys[0].name)");
}

TEST_F(ConfigTest, ReportsBrokenYamlWithItsPlace) {
  EXPECT_THAT(error_of("http:\n  port: [1, 2\n"), HasSubstr("c.yaml:3:1: "));
  EXPECT_THAT(error_of("http:\n  port: *nothing\n"), HasSubstr("c.yaml:2:"));
  EXPECT_THAT(error_of("http:\n\tport: 1\n"), HasSubstr("c.yaml:2:"));
  EXPECT_THAT(error_of("a: \"\n"), HasSubstr("c.yaml:"));
}

TEST_F(ConfigTest, PutsTheEnvironmentIntoValues) {
  setenv("MILLRACE_TEST", "81", 1);
  ASSERT_EQ(error_of("http: {port: \"${MILLRACE_TEST}\"}\n"
                     "data_path: a${MILLRACE_TEST}b${MILLRACE_ABSENT:-c:-d}$${x}$e\n"
                     "privacy: {redact: [\"p${MILLRACE_TEST}\"]}"),
            "");
  EXPECT_EQ(options.port, 81);
  EXPECT_EQ(options.data_path, "a81bc:-d${x}$e");
  EXPECT_THAT(options.redact, ElementsAre("p81"));

  setenv("MILLRACE_TEST", "", 1);
  ASSERT_EQ(error_of("data_path: a${MILLRACE_TEST}b${MILLRACE_TEST:-c}"), "");
  EXPECT_EQ(options.data_path, "abc");
}

TEST_F(ConfigTest, AVariableCannotAddKeys) {
  setenv("MILLRACE_TEST", "x\nhttp: {port: 1}", 1);
  ASSERT_EQ(error_of("data_path: ${MILLRACE_TEST}"), "");
  EXPECT_EQ(options.data_path, "x\nhttp: {port: 1}");
  EXPECT_EQ(options.port, 8080);
}

TEST_F(ConfigTest, NamesAVariableThatIsNotSet) {
  EXPECT_EQ(error_of("http:\n  host: ${MILLRACE_TEST}"),
            "c.yaml:2:3: http.host: the environment variable MILLRACE_TEST is not set (set it, or "
            "write ${MILLRACE_TEST:-...} with a default)");
  EXPECT_EQ(error_of("data_path: ${a b}"),
            "c.yaml:1:1: data_path: \"${a b}\" does not name an environment variable");
  EXPECT_EQ(error_of("data_path: ${a"),
            "c.yaml:1:1: data_path: \"${\" lacks its \"}\" (write $${ for a plain \"${\")");
}

TEST_F(ConfigTest, ReadsASecretFromAFile) {
  const TempDirectory directory;
  const std::string path = directory.write("password", "s3cret\n\n");
  ASSERT_EQ(error_of("http: {tls_password_file: " + path +
                     "}\n"
                     "api_keys: [{name: a, hash_file: " +
                     directory.write("hash", "abc\r\n") + "}]"),
            "");
  EXPECT_EQ(options.password, "s3cret\n");
  EXPECT_EQ(options.api_keys[0].hash, "abc");
  EXPECT_THAT(keys.to_yaml(), HasSubstr("  tls_password_file: \"" + path + "\"\n"));

  EXPECT_EQ(error_of("http:\n  tls_password_file: " + directory.path_of("absent")),
            "c.yaml:2:3: http.tls_password_file: opening " + directory.path_of("absent") +
                ": No such file or directory");
  EXPECT_EQ(error_of("http:\n  tls_password: a\n  tls_password_file: " + path),
            "c.yaml:3:3: http.tls_password_file: give http.tls_password or "
            "http.tls_password_file, not both");
}

TEST_F(ConfigTest, PassesOverTheSecretsOfOtherProcesses) {
  keys.leave_secrets("api_keys");
  ASSERT_EQ(error_of("api_keys:\n"
                     "  - {name: a, hash_file: /nowhere/a}\n"
                     "  - {name: b, hash: '${MILLRACE_TEST}'}"),
            "");
  EXPECT_EQ(options.api_keys.size(), 2U);
  EXPECT_EQ(options.api_keys[1].name, "b");
  EXPECT_EQ(options.api_keys[1].hash, "");

  // All else about them is held, and so are the secrets of others.
  EXPECT_EQ(error_of("api_keys: [{hash: a}]"), "c.yaml:1:12: api_keys[0].name: is required");
  EXPECT_EQ(error_of("http: {tls_password_file: /nowhere}"),
            "c.yaml:1:8: http.tls_password_file: opening /nowhere: No such file or directory");

  keys.leave_secrets("http.tls_pass");
  EXPECT_NE(error_of("http: {tls_password_file: /nowhere}"), "") << "a path is whole names";
  keys.leave_secrets("http.tls_password");
  EXPECT_EQ(error_of("http: {tls_password_file: /nowhere}"), "");
}

TEST_F(ConfigTest, NeverShowsASecret) {
  ASSERT_EQ(error_of("http: {tls_password: s3cret}\napi_keys: [{name: a, hash: s3cret}]"), "");
  EXPECT_THAT(keys.to_yaml(), Not(HasSubstr("s3cret")));
  EXPECT_THAT(keys.to_yaml(), HasSubstr("  tls_password: \"********\"\n"));
  EXPECT_THAT(error_of("http: {tls_pasword: s3cret, tls_password: [s3cret]}"),
              Not(HasSubstr("s3cret")));
}

TEST_F(ConfigTest, AMaskedSecretIsNotGiven) {
  ASSERT_EQ(error_of("http: {tls_password: s3cret}"), "");
  ASSERT_EQ(error_of(keys.to_yaml()), "");
  EXPECT_EQ(options.password, "s3cret");
  Options others;
  ConfigKeys other_keys;
  add_keys(other_keys, others);
  ASSERT_TRUE(other_keys.load_text(keys.to_yaml(), "printed.yaml"));
  EXPECT_EQ(others.password, "");
}

TEST_F(ConfigTest, PrintsYamlThatLoadsToTheSameValues) {
  ASSERT_EQ(error_of("data_path: \"a\\n\\\"$${b}\\u00e9 # c\"\n"
                     "http: {port: 1}\n"
                     "ingest: {strict: true, body_size_max: 1536KiB, body_timeout: 90s,\n"
                     "         decompression: {ratio_max: 1.1}}\n"
                     "privacy: {client_ip: truncate, redact: [\"#a\", \"true\", \"\"]}\n"
                     "api_keys: [{name: \"1\", scopes: [x, y]}, {name: b}]"),
            "");
  const std::string printed = keys.to_yaml();
  SCOPED_TRACE(printed);
  Options others;
  ConfigKeys other_keys;
  add_keys(other_keys, others);
  const auto loaded = other_keys.load_text(printed, "printed.yaml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(others.data_path, "a\n\"${b}\xc3\xa9 # c");
  EXPECT_THAT(others.redact, ElementsAre("#a", "true", ""));
  EXPECT_EQ(others.body_timeout, 90s);
  EXPECT_EQ(others.api_keys[0].name, "1");
  EXPECT_THAT(others.api_keys[0].scopes, ElementsAre("x", "y"));
  // The comments name defaults, which are the same; so then is every value.
  EXPECT_EQ(other_keys.to_yaml(), printed);
}

TEST(ConfigPrint, DocumentsEachKeyInTheOrderTheyWereAdded) {
  std::uint64_t size = 4096;
  std::string secret = "s3cret";
  std::vector<std::string> texts = {"a"};
  std::vector<ApiKey> api_keys = {{.name = "shop", .hash = "", .scopes = {"send"}}};
  bool flag = true;
  ConfigKeys keys;
  keys.add_size("b.size_max", size, {0, 1 << 20}, "The first.");
  keys.add_bool("a", flag, "The second.");
  keys.add_secret("b.secret", secret,
                  "A sentence that is long enough to need a second line of comment, because it "
                  "goes on and on.");
  keys.add_text_list("b.c.texts", texts, "Texts.");
  keys.add_list<ApiKey>("api_keys", api_keys, "Who may send.", add_api_key);
  size = 8192;
  EXPECT_EQ(keys.to_yaml(),
            R"(b:
  # The first.
  # size from 0 to 1MiB, default 4KiB
  size_max: 8KiB

  # A sentence that is long enough to need a second line of comment, because it goes on and on.
  # secret, no default
  secret: "********"

  c:
    # Texts.
    # list of texts, default ["a"]
    texts:
      - "a"

# The second.
# one of true, false, default true
a: true

# Who may send.
# list, default 1 of them
# - name: Shown in logs and metrics. (text, required)
# - hash: SHA-256 of the key. (secret, no default)
# - limit.records_per_second_max: More are refused; 0 is no limit. (whole number from 0 to 1000000,
# default 0)
# - scopes: What the key is for. (list of texts, default [])
api_keys:
  - name: "shop"
    hash: ""
    limit:
      records_per_second_max: 0
    scopes:
      - "send"
)");
}

TEST_F(ConfigTest, SetWinsOverTheFileAndTakesTextAsItIs) {
  ASSERT_EQ(error_of("http: {port: 81}"), "");
  ASSERT_TRUE(keys.set("http.port", "82"));
  ASSERT_TRUE(keys.set("data_path", "a: ${b} # c"));
  ASSERT_TRUE(keys.set("privacy.redact", "[a, b]"));
  ASSERT_TRUE(keys.set("api_keys", "[{name: shop}]"));
  EXPECT_EQ(options.port, 82);
  EXPECT_EQ(options.data_path, "a: ${b} # c");
  EXPECT_THAT(options.redact, ElementsAre("a", "b"));
  EXPECT_EQ(options.api_keys.at(0).name, "shop");

  EXPECT_EQ(keys.set("http.port", "x").error().message, "http.port: \"x\" is not a whole number");
  EXPECT_EQ(keys.set("http.prot", "1").error().message,
            "http.prot: unknown key (the nearest known key is http.port)");
  EXPECT_FALSE(keys.set("privacy.redact", "[a"));
  EXPECT_FALSE(keys.set("http", "1"));
}

TEST_F(ConfigTest, KnowsWhereAKeyWasSet) {
  EXPECT_EQ(keys.place_of("http.port"), "http.port");
  ASSERT_EQ(error_of("http:\n  port: 81\napi_keys:\n  - name: a"), "");
  EXPECT_EQ(keys.place_of("http.port"), "c.yaml:2:3: http.port");
  EXPECT_EQ(keys.place_of("api_keys[0].name"), "c.yaml:4:5: api_keys[0].name");
  ASSERT_TRUE(keys.set("http.port", "82"));
  EXPECT_EQ(keys.place_of("http.port"), "http.port");
}

TEST_F(ConfigTest, LoadsAFileAndNamesOneThatIsNotThere) {
  const TempDirectory directory;
  ASSERT_TRUE(keys.load(directory.write("a.yaml", "\xef\xbb\xbfhttp:\r\n  port: 83\r\n")));
  EXPECT_EQ(options.port, 83);
  const auto absent = keys.load(directory.path_of("absent.yaml"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::not_found);
  EXPECT_THAT(absent.error().message, HasSubstr("absent.yaml"));
}

TEST(ConfigKeysAdd, StopsAtABug) {
  std::int64_t number = 5;
  ConfigKeys keys;
  keys.add_integer("a.b", number, {0, 10}, "A number.");
  EXPECT_DEATH(keys.add_integer("a.b", number, {0, 10}, "Again."), "assertion failed");
  EXPECT_DEATH(keys.add_integer("a", number, {0, 10}, "A section."), "assertion failed");
  EXPECT_DEATH(keys.add_integer("a.b.c", number, {0, 10}, "Below a key."), "assertion failed");
  EXPECT_DEATH(keys.add_integer("c", number, {6, 10}, "Default too small."), "assertion failed");
  EXPECT_DEATH(keys.add_integer("A-b", number, {0, 10}, "Not a path."), "assertion failed");
  EXPECT_DEATH(keys.require("absent"), "assertion failed");
}

TEST(NearestPath, CountsSwappedLettersAsOneSlip) {
  EXPECT_EQ(nearest_path("prot", {"part_of", "post_it", "port"}), "port");
  EXPECT_EQ(nearest_path("x", {}), "");
}

}  // namespace
}  // namespace millrace
