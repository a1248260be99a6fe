#pragma once

#include <string>
#include <utility>
#include <vector>

namespace millrace {

// Named byte strings that travel beside a payload, in order. Names may repeat.
using Headers = std::vector<std::pair<std::string, std::string>>;

}  // namespace millrace
