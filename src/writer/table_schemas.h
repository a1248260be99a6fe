#pragma once

#include <cstddef>

#include "columnar/table_schema.h"

namespace millrace::writer {

inline constexpr char access_logs_root[] = "access_logs";
inline constexpr char dead_letters_root[] = "dead_letters";

// The tables as docs/formats/tables.md describes them. Both are partitioned by `date`.
const columnar::TableSchema& access_logs_schema();
const columnar::TableSchema& dead_letters_schema();

// The file columns by number, for FileBuilder's appends. Same order as in the schemas.
struct AccessLogsColumn {
  enum : std::size_t {
    timestamp,
    site,
    path,
    query,
    method,
    host,
    referrer,
    user_agent,
    client_ip,
    protocol,
    country,
    status,
    bytes,
    duration_us,
    attributes,
    received_at,
    batch_id,
    bot,
    bot_operator,
    bot_category,
    bot_list,
  };
};

struct DeadLettersColumn {
  enum : std::size_t { received_at, site, source, reason, field, payload, batch_id };
};

}  // namespace millrace::writer
