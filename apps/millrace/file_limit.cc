#include "file_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/log.h"

namespace millrace::apps {

namespace {

// The journal, the tables, the SQL engine and Kafka's connections.
constexpr std::size_t own_files = 512;
constexpr std::size_t connections_min = 16;

}  // namespace

std::size_t raise_file_limit(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  // Refused by few systems; the limit is then what it was.
  setrlimit(RLIMIT_NOFILE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const std::size_t files = limit.rlim_cur;
  if (files == RLIM_INFINITY || files >= wanted + own_files) return wanted;
  const std::size_t possible = std::max(connections_min, files - std::min(files, own_files));
  if (possible >= wanted) return wanted;
  log(LogLevel::warn, "fewer connections than http.connections_max: raise the limit of open files",
      {{"connections", possible}, {"connections_max", wanted}, {"open_files", files}});
  return possible;
}

}  // namespace millrace::apps
