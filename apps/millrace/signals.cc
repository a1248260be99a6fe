#include "signals.h"

#include <csignal>
#include <ctime>

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

void block_reload_signal() {
  const sigset_t signals = reload_signal();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

bool took_reload_signal() { return wait_for(reload_signal(), std::chrono::milliseconds(0)); }

}  // namespace millrace::apps
