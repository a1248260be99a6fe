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

}  // namespace

void block_stop_signals() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

bool wait_for_stop_signal(std::chrono::milliseconds timeout) {
  const sigset_t signals = stop_signals();
  timespec wait{};
  wait.tv_sec = timeout.count() / 1000;
  wait.tv_nsec = timeout.count() % 1000 * 1'000'000;
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

}  // namespace millrace::apps
