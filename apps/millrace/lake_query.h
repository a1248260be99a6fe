#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "app_config.h"
#include "base/result.h"
#include "query/result_format.h"
#include "query/views.h"
#include "sql/engine.h"

namespace millrace::apps {

struct LakeQueryOptions {
  std::uint64_t memory_bytes_max = 1UL << 30;
  int threads = 2;
};

// An engine without tables.
Result<std::unique_ptr<sql::Engine>> open_query_engine(const LakeQueryOptions& options);

// Runs one statement in an engine that has a view for each table of the lake, with the records that
// `filter` wants, and can read these tables' files, but nothing else. Warns on stderr of tables
// that cannot be read. The engine runs nothing else after it. Errors: invalid_argument (the
// configuration), not_found (no tables there), and those of query::create_views() and
// Engine::query().
Result<void> query_lake(sql::Engine& engine, const ConfigArguments& where,
                        const query::RecordFilter& filter, const std::string& statement,
                        sql::RowSink& sink);

}  // namespace millrace::apps
