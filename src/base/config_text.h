#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

// The parts of the configuration that are about text alone.

// What stands for a secret where the configuration is printed, and is no value when it is loaded.
inline constexpr std::string_view secret_mask = "********";

// Replaces "${NAME}" and "${NAME:-text}" by the environment, and "$${" by "${".
// Errors: invalid_argument, naming the variable that is not set, or what is malformed.
Result<std::string> replace_variables(std::string_view text);

// `text` as a double-quoted YAML scalar that load() reads back to `text`.
std::string quoted_yaml(std::string_view text);

// The path among `known` that `path` was most likely meant to be; "" if there is none at all.
std::string nearest_path(std::string_view path, const std::vector<std::string>& known);

}  // namespace millrace
