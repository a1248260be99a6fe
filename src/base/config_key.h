#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

class ConfigKeys;

// One key of ConfigKeys: how its value is read from text and written back, whatever its type is.
// ConfigKeys makes these; nothing else needs them.
struct ConfigKey {
  enum class Kind {
    scalar,  // A number, size, duration, word or true/false.
    text,
    secret,
    text_list,
    element_list,  // Each element has keys of its own.
  };

  Kind kind = Kind::scalar;
  std::string path = {};
  std::string sentence = {};
  std::string type_text = {};     // "size from 1KiB to 1GiB"
  std::string default_text = {};  // As it stands in YAML; empty for a secret.
  bool is_required = false;

  // Of all but the lists.
  std::function<Result<void>(std::string_view)> read = {};
  std::function<std::string()> write = {};

  // Of the lists. `resize` leaves every element at its default.
  std::function<void(std::size_t)> resize = {};
  std::function<std::size_t()> size = {};
  std::function<ConfigKey(std::size_t)> text_item = {};
  std::function<void(std::size_t, ConfigKeys&)> declare = {};

  // Of element lists: declares the keys on an element that is not in the list, for documentation.
  std::function<void(ConfigKeys&)> declare_example = {};
};

}  // namespace millrace
