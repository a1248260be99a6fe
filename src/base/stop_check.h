#pragma once

#include <functional>

namespace millrace {

// Whether to give up what takes long. Empty: no.
using StopCheck = std::function<bool()>;

}  // namespace millrace
