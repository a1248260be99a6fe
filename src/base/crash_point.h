#pragma once

namespace millrace {

// Names a step at which the crash tests kill the process, as a power cut would.
//
// Does nothing unless the environment variable MILLRACE_CRASH_POINT is "NAME" or "NAME:N" at start:
// then the N-th pass (default the first) through the point of that name raises SIGKILL. Costs one
// predictable branch otherwise, and stands only on paths that run once per flush or group commit.
// Thread-safe.
void crash_point(const char* name);

}  // namespace millrace
