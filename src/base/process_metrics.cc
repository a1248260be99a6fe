#include "base/process_metrics.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string_view>

namespace millrace {
namespace {

using Seconds = std::chrono::duration<double>;

const Seconds started_at = std::chrono::system_clock::now().time_since_epoch();

void add(std::string& text, std::string_view name, std::string_view type, std::string_view help,
         double value) {
  text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3:.17g}\n", name, help, type, value);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::size_t count_entries(const char* folder) {
  DIR* const directory = opendir(folder);
  if (directory == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* const entry = readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(directory);
  // The folder itself was open.
  return count > 0 ? count - 1 : 0;
}

}  // namespace

std::string process_exposition() {
  std::string text;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    add(text, "process_cpu_seconds_total", "counter", "User and system time.",
        seconds(usage.ru_utime) + seconds(usage.ru_stime));
  }
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  double resident_pages = 0;
  if (statm >> pages >> resident_pages) {
    add(text, "process_resident_memory_bytes", "gauge", "Memory in use.",
        resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  if (const std::size_t files = count_entries("/proc/self/fd"); files > 0) {
    add(text, "process_open_fds", "gauge", "Open files and connections.",
        static_cast<double>(files));
  }
  add(text, "process_start_time_seconds", "gauge", "When the process started, since 1970.",
      started_at.count());
  return text;
}

}  // namespace millrace
