#pragma once

#include <cstddef>

namespace millrace::apps {

// Lets the process open as many files as the system allows it, and returns how many connections it
// may have then: `wanted`, or fewer where files of its own would find no descriptor any more. Logs
// a warning where it is fewer.
std::size_t raise_file_limit(std::size_t wanted);

}  // namespace millrace::apps
