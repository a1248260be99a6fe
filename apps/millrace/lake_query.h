#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "query/result_format.h"
#include "query/views.h"
#include "sql/engine.h"
#include "store/local_store.h"

namespace millrace::apps {

struct LakeQueryOptions {
  std::uint64_t memory_bytes_max = 1UL << 30;
  int threads = 2;
};

// An engine with a view for each table of a data folder, that reads these tables' files and nothing
// else. Errors: not_found (no tables there), and those of query::create_views().
Result<std::unique_ptr<sql::Engine>> open_lake(const std::string& data_directory,
                                               const LakeQueryOptions& options = {});

}  // namespace millrace::apps
