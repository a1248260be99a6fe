#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/config_key.h"
#include "base/result.h"

namespace millrace {

// The least and the greatest value that a key accepts, both included.
template <typename T>
struct ConfigBounds {
  T min;
  T max;
};

// Says whether a text will do, as an error that names what is wrong with it. Not asked about the
// default. For a secret, the message must not repeat it.
using TextCheck = std::function<Result<void>(std::string_view)>;

// All keys of the process's one YAML file: each names the variable it sets, and documents it.
//
//   struct IngestOptions {
//     std::uint64_t body_size_max = 10 << 20;
//     std::chrono::milliseconds body_timeout{30'000};
//   };
//   ConfigKeys keys;
//   keys.add_size("ingest.body_size_max", options.body_size_max, {1 << 10, 1 << 30},
//                 "Largest request body, before and after decompression.");
//   keys.add_duration("ingest.body_timeout", options.body_timeout, {1s, 1h},
//                     "How long a client may take to send a body.");
//   MR_TRY(keys.load("config.yaml"));
//   MR_TRY(keys.set("ingest.body_timeout", "10s"));  // From the command line; wins over the file.
//
// A path is words joined by dots: all but the last name the sections of the file. The value that a
// target holds when its key is added is the default. Targets must outlive the ConfigKeys, and are
// written by load() and set() only. To add a path twice, or a default out of bounds, is a bug and
// stops the process. Not thread-safe: done with before the threads start.
//
// In the file:
//   - "${NAME}" in a value becomes the environment variable, which must be set; "${NAME:-text}"
//     becomes the text where it is unset or empty. "$${" stands for "${".
//   - Sizes are "10MiB", durations "250ms", as base/units.h reads them.
//   - A secret KEY may be given as KEY_file instead: the path of a file (relative to the working
//     directory) with the value, of which one newline at the end is cut.
//   - A section without keys changes nothing. A list replaces the default as a whole, also by none.
class ConfigKeys {
 public:
  ConfigKeys() = default;
  ConfigKeys(const ConfigKeys&) = delete;
  ConfigKeys& operator=(const ConfigKeys&) = delete;

  void add_bool(std::string path, bool& target, std::string sentence);

  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void add_integer(std::string path, T& target, ConfigBounds<std::type_identity_t<T>> bounds,
                   std::string sentence) {
    MR_ASSERT(std::in_range<std::int64_t>(bounds.max));
    add_integer_key(
        std::move(path),
        {static_cast<std::int64_t>(bounds.min), static_cast<std::int64_t>(bounds.max)},
        std::move(sentence), [&target](std::int64_t value) { target = static_cast<T>(value); },
        [&target] { return static_cast<std::int64_t>(target); });
  }

  void add_number(std::string path, double& target, ConfigBounds<double> bounds,
                  std::string sentence);

  // A size in bytes. Any integer will do as the target; `bounds` must fit it.
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void add_size(std::string path, T& target, ConfigBounds<std::uint64_t> bounds,
                std::string sentence) {
    MR_ASSERT(std::in_range<T>(bounds.max));
    add_size_key(
        std::move(path), bounds, std::move(sentence),
        [&target](std::uint64_t value) { target = static_cast<T>(value); },
        [&target] { return static_cast<std::uint64_t>(target); });
  }

  void add_duration(std::string path, std::chrono::milliseconds& target,
                    ConfigBounds<std::chrono::milliseconds> bounds, std::string sentence);

  void add_text(std::string path, std::string& target, std::string sentence, TextCheck check = {});

  // A text that is never printed.
  void add_secret(std::string path, std::string& target, std::string sentence,
                  TextCheck check = {});

  // One word of a few, such as {{"keep", ClientIp::keep}, {"drop", ClientIp::drop}}.
  template <typename Value>
  void add_choice(std::string path, Value& target,
                  std::vector<std::pair<std::string, std::type_identity_t<Value>>> words,
                  std::string sentence) {
    std::vector<std::string> names;
    std::vector<Value> values;
    for (auto& [name, value] : words) {
      names.push_back(std::move(name));
      values.push_back(std::move(value));
    }
    const auto shared = std::make_shared<const std::vector<Value>>(std::move(values));
    add_choice_key(
        std::move(path), std::move(names), std::move(sentence),
        [&target, shared](std::size_t index) { target = (*shared)[index]; },
        [&target, shared] {
          std::size_t index = 0;
          while (index < shared->size() && !((*shared)[index] == target)) ++index;
          return index;
        });
  }

  // `check` is asked about each item.
  void add_text_list(std::string path, std::vector<std::string>& target, std::string sentence,
                     TextCheck check = {});

  // A list of elements with keys of their own, which `declare` adds for one element; their paths
  // start at the element:
  //   keys.add_list("api_keys", options.api_keys, "Who may send.",
  //                 [](ConfigKeys& element, ApiKey& key) {
  //                   element.add_text("name", key.name, "Shown in logs and metrics.");
  //                   element.require("name");
  //                 });
  template <typename Element>
  void add_list(std::string path, std::vector<Element>& target, std::string sentence,
                std::function<void(ConfigKeys&, Element&)> declare) {
    ConfigKey key{.kind = ConfigKey::Kind::element_list,
                  .path = std::move(path),
                  .sentence = std::move(sentence)};
    key.resize = [&target](std::size_t size) { target.assign(size, Element{}); };
    key.size = [&target] { return target.size(); };
    key.declare = [&target, declare](std::size_t index, ConfigKeys& element) {
      declare(element, target[index]);
    };
    key.declare_example = [declare, example = std::make_shared<Element>()](ConfigKeys& element) {
      declare(element, *example);
    };
    add_list_key(std::move(key));
  }

  // Makes it an error of load() that the key at `path` is not given, or is an empty text.
  void require(std::string_view path);

  // Makes load() pass over the secrets at and below `path`, which are for other processes: this one
  // may not have their files and variables. They count as given, and keep the value they had.
  void leave_secrets(std::string path);

  // Sets what the file gives; the rest keeps its value. Checks all of it before it returns: the
  // message has a line per error, such as
  //   config.yaml:14:3: ingest.body_size_max: "10 apples" is not a size (want e.g. 10MiB)
  // After an error the targets hold part of the file; do not use them.
  // Errors: invalid_argument; for a file that cannot be read, those of read_file().
  Result<void> load(const std::string& file_path);

  // As load(), of `yaml`; the errors call it `file_name`.
  Result<void> load_text(const std::string& yaml, const std::string& file_name);

  // Sets one key to what stands for it in a file (for a list, in YAML: "[a, b]"). Variables are not
  // replaced: the shell does that.
  // Errors: invalid_argument.
  Result<void> set(const std::string& path, const std::string& value);

  // The name of a key for an error about its value, with the place where it was set, if it was:
  // "config.yaml:14:3: ingest.body_size_max".
  std::string place_of(const std::string& path) const;

  // The values in effect as YAML, under each key's documentation. To load it gives the same values
  // again, but for secrets: they stand as "********", which load() takes as not given. A secret
  // that came from KEY_file stands as that.
  std::string to_yaml() const;

 private:
  friend class ConfigLoader;
  friend class ConfigPrinter;

  void add(ConfigKey key);
  void add_integer_key(std::string path, ConfigBounds<std::int64_t> bounds, std::string sentence,
                       std::function<void(std::int64_t)> put, std::function<std::int64_t()> get);
  void add_size_key(std::string path, ConfigBounds<std::uint64_t> bounds, std::string sentence,
                    std::function<void(std::uint64_t)> put, std::function<std::uint64_t()> get);
  void add_choice_key(std::string path, std::vector<std::string> words, std::string sentence,
                      std::function<void(std::size_t)> put, std::function<std::size_t()> get);
  void add_list_key(ConfigKey key);

  const ConfigKey* find(std::string_view path) const;
  bool has_section(std::string_view path) const;
  bool leaves_secret(std::string_view path) const;

  std::vector<ConfigKey> keys_;
  std::vector<std::string> left_secrets_;

  // By the path of the key, within lists as in "api_keys[0].name".
  std::map<std::string, std::string> places_;
  std::map<std::string, std::string> secret_files_;
};

}  // namespace millrace
