#pragma once

namespace millrace {

// Names a step at which the crash tests kill the process, as a power cut would, or pause it.
//
// Does nothing unless the environment variable MILLRACE_CRASH_POINT is "NAME", "NAME:N" or
// "NAME:N:pause" at start: then the N-th pass (default the first) through the point of that name
// raises SIGKILL, or SIGSTOP for "pause". Costs one
// predictable branch otherwise, and stands only on paths that run once per flush or group commit.
// Thread-safe.
void crash_point(const char* name);

}  // namespace millrace
