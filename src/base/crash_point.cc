#include "base/crash_point.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/assert.h"

namespace millrace {
namespace {

struct ArmedPoint {
  std::string_view name;
  std::int64_t pass = 1;
  int signal = SIGKILL;
};

ArmedPoint read_environment() {
  const char* const value = std::getenv("MILLRACE_CRASH_POINT");
  if (value == nullptr) return {};
  std::string_view text(value);
  constexpr std::string_view pause = ":pause";
  const bool pauses = text.ends_with(pause);
  if (pauses) text.remove_suffix(pause.size());
  const std::size_t colon = text.find(':');
  ArmedPoint armed{text.substr(0, colon)};
  if (pauses) armed.signal = SIGSTOP;
  if (colon != std::string_view::npos) {
    const auto [end, error] =
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), armed.pass);
    // A test that misspells its own point would otherwise pass without a crash.
    MR_ASSERT(error == std::errc() && end == text.data() + text.size() && armed.pass > 0);
  }
  return armed;
}

const ArmedPoint armed_point = read_environment();
std::atomic<std::int64_t> passes{0};

}  // namespace

void crash_point(const char* name) {
  if (armed_point.name.empty()) [[likely]]
    return;
  if (armed_point.name != name) return;
  if (passes.fetch_add(1) + 1 == armed_point.pass) std::raise(armed_point.signal);
}

}  // namespace millrace
