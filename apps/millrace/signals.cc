#include "signals.h"

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "base/log.h"

namespace millrace::apps {

namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

sigset_t reload_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  return signals;
}

bool wait_for(const sigset_t& signals, std::chrono::milliseconds timeout) {
  timespec wait{};
  wait.tv_sec = timeout.count() / 1000;
  wait.tv_nsec = timeout.count() % 1000 * 1'000'000;
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

}  // namespace

void block_stop_signals() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

bool wait_for_stop_signal(std::chrono::milliseconds timeout) {
  return wait_for(stop_signals(), timeout);
}

EndAtStopSignal::EndAtStopSignal(int exit_code)
    : thread_([exit_code](const std::stop_token& is_over) {
        while (!is_over.stop_requested()) {
          if (!wait_for_stop_signal(std::chrono::milliseconds(5))) continue;
          log(LogLevel::info, "stopped before it was done");
          std::_Exit(exit_code);
        }
      }) {}

void block_reload_signal() {
  const sigset_t signals = reload_signal();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

bool took_reload_signal() { return wait_for(reload_signal(), std::chrono::milliseconds(0)); }

}  // namespace millrace::apps
