#pragma once

#include <chrono>
#include <thread>

namespace millrace::apps {

// Keeps SIGINT and SIGTERM from ending the process, in this thread and those it starts: from now on
// wait_for_stop_signal() is what sees them. Call before any thread is started.
void block_stop_signals();

// Waits up to `timeout` for SIGINT or SIGTERM. True: one came.
bool wait_for_stop_signal(std::chrono::milliseconds timeout);

// Ends the process with `exit_code` at SIGINT or SIGTERM while it exists, also where the process is
// the first of its container, which these signals do not end by themselves. For what goes on from
// what is durable, as after a crash. Call block_stop_signals() before.
class EndAtStopSignal {
 public:
  explicit EndAtStopSignal(int exit_code);

 private:
  std::jthread thread_;
};

// Keeps SIGHUP from ending the process, likewise: took_reload_signal() is what sees it.
void block_reload_signal();

// Whether SIGHUP has come since the last call.
bool took_reload_signal();

}  // namespace millrace::apps
