#include "columnar/file_builder.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include <arrow/io/memory.h>
#include <gtest/gtest.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/schema.h>
#include <nlohmann/json.hpp>

#include "base/time_text.h"
#include "columnar/testing/read_rows.h"

namespace millrace::columnar {
namespace {

enum : std::size_t {
  time_column,
  path_column,
  status_column,
  bytes_column,
  seen_column,
  map_column
};

TableSchema schema() {
  return {.columns = {{"timestamp", ColumnType::timestamp, true},
                      {"path", ColumnType::string, true},
                      {"status", ColumnType::int32},
                      {"bytes", ColumnType::int64},
                      {"seen", ColumnType::date},
                      {"attributes", ColumnType::string_map},
                      {"date", ColumnType::date}},
          .partition_columns = {"date"}};
}

FileBuilderOptions options() { return {.sort_column = "timestamp"}; }

Timestamp time(std::string_view text) { return parse_rfc3339(text).value(); }

void append(FileBuilder& builder, std::string_view at, std::string_view path) {
  builder.append_timestamp(time_column, time(at));
  builder.append_string(path_column, path);
  builder.end_row();
}

std::string finished(const FileBuilder& builder) {
  StringObject object;
  EXPECT_TRUE(builder.finish(object));
  return object.bytes();
}

std::unique_ptr<parquet::ParquetFileReader> parquet_reader(const std::string& bytes) {
  return parquet::ParquetFileReader::Open(
      std::make_shared<arrow::io::BufferReader>(std::make_shared<arrow::Buffer>(bytes)));
}

class FailingObject final : public store::ObjectWriter {
 public:
  Result<void> write(std::string_view) override { return fail(Errc::exhausted, "disk full"); }
  Result<void> finish() override { return fail(Errc::unavailable, "not reached"); }
};

TEST(FileBuilder, WritesRowsSortedByTimeWithEveryType) {
  FileBuilder builder(schema(), options());
  builder.append_timestamp(time_column, time("2026-11-24T10:00:00.000002Z"));
  builder.append_string(path_column, "/später");
  builder.append_int32(status_column, 404);
  builder.append_int64(bytes_column, 1LL << 40);
  builder.append_date(seen_column, parse_iso_date("2026-11-24").value());
  const std::vector<std::pair<std::string_view, std::string_view>> entries = {{"a", "1"},
                                                                              {"b", ""}};
  builder.append_map(map_column, entries);
  builder.end_row();
  append(builder, "2026-11-24T10:00:00.000001Z", "");

  const std::vector<Row> want = {
      {{"timestamp", "2026-11-24T10:00:00.000001Z"}, {"path", ""}},
      {{"timestamp", "2026-11-24T10:00:00.000002Z"},
       {"path", "/später"},
       {"status", "404"},
       {"bytes", "1099511627776"},
       {"seen", "2026-11-24"},
       {"attributes", "a=1,b="}},
  };
  EXPECT_EQ(read_rows(finished(builder)), want);
}

TEST(FileBuilder, FollowsTheTypesOfTheTableFormat) {
  FileBuilder builder(schema(), options());
  append(builder, "2026-11-24T10:00:00Z", "/");
  const auto reader = parquet_reader(finished(builder));
  const parquet::FileMetaData& file = *reader->metadata();
  const auto& root = *file.schema()->group_node();
  ASSERT_EQ(root.field_count(), 6);
  EXPECT_TRUE(root.field(0)->is_required());
  EXPECT_TRUE(root.field(1)->is_required());
  EXPECT_TRUE(root.field(2)->is_optional());
  EXPECT_TRUE(root.field(0)->logical_type()->Equals(
      *parquet::LogicalType::Timestamp(true, parquet::LogicalType::TimeUnit::MICROS)));
  EXPECT_TRUE(root.field(1)->logical_type()->is_string());
  EXPECT_TRUE(root.field(4)->logical_type()->is_date());
  EXPECT_TRUE(root.field(5)->logical_type()->is_map());
  EXPECT_EQ(file.schema()->Column(0)->physical_type(), parquet::Type::INT64);
  EXPECT_EQ(file.schema()->Column(2)->physical_type(), parquet::Type::INT32);
  const auto row_group = file.RowGroup(0);
  for (int i = 0; i < row_group->num_columns(); ++i) {
    const auto chunk = row_group->ColumnChunk(i);
    EXPECT_EQ(chunk->compression(), parquet::Compression::ZSTD);
    EXPECT_TRUE(chunk->GetOffsetIndexLocation().has_value());
  }
  EXPECT_TRUE(row_group->ColumnChunk(0)->is_stats_set());
  EXPECT_TRUE(row_group->ColumnChunk(1)->is_stats_set());
}

// Many distinct values and few, with nulls, over several row groups, against what was appended.
TEST(FileBuilder, RoundTripsRandomRows) {
  for (unsigned seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const unsigned distinct = seed % 2 == 0 ? 5 : 100000;
    FileBuilder builder(schema(),
                        {.sort_column = "timestamp", .row_group_rows_max = 300, .zstd_level = 1});
    std::multimap<std::string, Row> model;  // By time; equal times stay as they came.
    for (int i = 0; i < 1000; ++i) {
      const Timestamp at = time("2026-11-24T00:00:00Z") + std::chrono::microseconds(random() % 500);
      Row row = {{"timestamp", to_rfc3339(at)},
                 {"path", "/" + std::to_string(random() % distinct)}};
      builder.append_timestamp(time_column, at);
      builder.append_string(path_column, row["path"]);
      if (random() % 3 != 0) {
        const auto status = static_cast<std::int32_t>(random() % 500);
        builder.append_int32(status_column, status);
        row["status"] = std::to_string(status);
      }
      if (random() % 3 == 0) {
        const std::string value = std::to_string(random() % distinct);
        const std::pair<std::string_view, std::string_view> entry = {"k", value};
        builder.append_map(map_column, std::span(&entry, 1));
        row["attributes"] = "k=" + value;
      }
      builder.end_row();
      model.emplace(row["timestamp"], row);
    }
    std::vector<Row> want;
    for (const auto& [at, row] : model) want.push_back(row);
    const std::string file = finished(builder);
    EXPECT_EQ(read_rows(file), want);
    EXPECT_EQ(parquet_reader(file)->metadata()->num_row_groups(), 4);
  }
}

TEST(FileBuilder, SummarisesWhatTheFileHolds) {
  FileBuilder builder(schema(), options());
  append(builder, "2026-11-24T10:00:00.000001Z", "/b");
  append(builder, "2026-11-24T09:00:00.000001Z", "/a");
  builder.append_timestamp(time_column, time("2026-11-24T09:30:00Z"));
  builder.append_string(path_column, "/c");
  builder.append_int32(status_column, 200);
  builder.end_row();

  StringObject object;
  const auto summary = builder.finish(object);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->rows, 3);
  EXPECT_EQ(summary->size_bytes, static_cast<std::int64_t>(object.bytes().size()));
  const auto want = nlohmann::json::parse(R"({
    "numRecords": 3,
    "minValues": {"timestamp": "2026-11-24T09:00:00.000Z", "path": "/a", "status": 200},
    "maxValues": {"timestamp": "2026-11-24T10:00:00.001Z", "path": "/c", "status": 200},
    "nullCount": {"timestamp": 0, "path": 0, "status": 2, "bytes": 3, "seen": 3, "attributes": 3}
  })");
  EXPECT_EQ(nlohmann::json::parse(summary->stats_json), want);
}

TEST(FileBuilder, KeepsItsRowsWhenTheObjectFails) {
  FileBuilder builder(schema(), options());
  append(builder, "2026-11-24T10:00:00Z", "/");
  FailingObject failing;
  const auto failed = builder.finish(failing);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::exhausted);
  EXPECT_EQ(read_rows(finished(builder)).size(), 1U);
}

TEST(FileBuilder, CountsItsMemory) {
  FileBuilder builder(schema(), options());
  const std::size_t empty = builder.memory_bytes();
  append(builder, "2026-11-24T10:00:00Z", std::string(100000, 'x'));
  EXPECT_GE(builder.memory_bytes(), empty + 100000);
  EXPECT_EQ(builder.row_count(), 1U);
}

}  // namespace
}  // namespace millrace::columnar
