#include "writer/table_schemas.h"

namespace millrace::writer {

using columnar::ColumnType;
using columnar::TableSchema;

const TableSchema& access_logs_schema() {
  static const TableSchema schema = {.columns = {{"timestamp", ColumnType::timestamp, true},
                                                 {"site", ColumnType::string, true},
                                                 {"path", ColumnType::string, true},
                                                 {"query", ColumnType::string},
                                                 {"method", ColumnType::string},
                                                 {"host", ColumnType::string},
                                                 {"referrer", ColumnType::string},
                                                 {"user_agent", ColumnType::string},
                                                 {"client_ip", ColumnType::string},
                                                 {"protocol", ColumnType::string},
                                                 {"country", ColumnType::string},
                                                 {"status", ColumnType::int32},
                                                 {"bytes", ColumnType::int64},
                                                 {"duration_us", ColumnType::int64},
                                                 {"attributes", ColumnType::string_map},
                                                 {"received_at", ColumnType::timestamp, true},
                                                 {"batch_id", ColumnType::string},
                                                 {"bot", ColumnType::string},
                                                 {"bot_operator", ColumnType::string},
                                                 {"bot_category", ColumnType::string},
                                                 {"bot_list", ColumnType::string},
                                                 {"date", ColumnType::date}},
                                     .partition_columns = {"date"}};
  return schema;
}

const TableSchema& dead_letters_schema() {
  static const TableSchema schema = {.columns = {{"received_at", ColumnType::timestamp, true},
                                                 {"site", ColumnType::string},
                                                 {"source", ColumnType::string, true},
                                                 {"reason", ColumnType::string, true},
                                                 {"field", ColumnType::string},
                                                 {"payload", ColumnType::string},
                                                 {"batch_id", ColumnType::string},
                                                 {"date", ColumnType::date}},
                                     .partition_columns = {"date"}};
  return schema;
}

}  // namespace millrace::writer
