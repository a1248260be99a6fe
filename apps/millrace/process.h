#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app_config.h"
#include "base/result.h"

namespace millrace::apps {

// Which parts of the pipeline one process runs.
struct Roles {
  bool ingests = false;
  bool writes = false;
  bool aggregates = false;
  bool maintains = false;
  bool queries = false;
};

// A process of the pipeline: its parts are made in the order of the data's way, and stopped in the
// same order, so that what was acknowledged runs through to the tables.
class Process {
 public:
  Process(AppConfig config, Roles roles);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Errors: those of the parts. Nothing runs then.
  Result<void> start();

  // Where it listens, for people and for scripts.
  std::string api_url() const;  // Empty: it does not ingest.
  std::string admin_url() const;

  // Waits for SIGINT or SIGTERM, or for a part that cannot go on, and returns its reason. At SIGHUP
  // it calls `reload` and goes on.
  std::optional<std::string> wait(const std::function<void()>& reload);

  // Takes over what can change while it runs: the API's keys, the log's level and format, and
  // what is in the certificate's files. Errors: invalid_argument (certificate or key); the rest is
  // taken over.
  Result<void> reload(const AppConfig& config);

  // Drains. Errors: where something acknowledged is not in the table yet; it is in the journal.
  Result<void> stop();

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

// Runs a process to its end: loads the configuration, starts, prints `welcome(process, config)`,
// waits, stops. Returns the exit code.
int run_process(ConfigArguments arguments, Roles roles,
                std::string (*welcome)(const Process& process, const AppConfig& config));

}  // namespace millrace::apps
