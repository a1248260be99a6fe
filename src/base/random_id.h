#pragma once

#include <string>

namespace millrace {

// A random UUID (RFC 9562 version 4) in its text form. Thread-safe.
std::string random_uuid();

}  // namespace millrace
