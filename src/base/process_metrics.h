#pragma once

#include <string>

namespace millrace {

// What the kernel knows of this process, in the Prometheus text format: processor time, memory,
// start time and open files, under the names that Prometheus client libraries share
// (prometheus.io, "Writing client libraries"). What cannot be read is left out. Thread-safe.
std::string process_exposition();

}  // namespace millrace
