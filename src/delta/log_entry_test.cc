#include "delta/log_entry.h"

#include <gtest/gtest.h>

#include "delta/path_encoding.h"
#include "delta/schema_json.h"
#include "delta/testing/table_world.h"

namespace millrace::delta {
namespace {

TEST(LogEntry, ReadsBackWhatItWrites) {
  LogEntry entry;
  entry.operation = "WRITE";
  entry.commit_id = "id-1";
  entry.protocol = Protocol{};
  entry.metadata = Metadata{.table_id = "table-1",
                            .schema = test_schema(),
                            .configuration = {{"delta.appendOnly", "false"}},
                            .created_ms = 123};
  entry.adds = {file_of("date=2026-01-02/a b%.parquet")};
  entry.adds[0].partition_values["null"] = std::nullopt;
  entry.removes = {{"gone.parquet", {{"date", "2026-01-01"}}, 5, false}};
  entry.progress = {{"source \"1\"", 42}};
  const auto read = decode_log_entry(encode_log_entry(entry, Timestamp()), "0.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->operation, "WRITE");
  EXPECT_EQ(read->commit_id, "id-1");
  EXPECT_EQ(read->metadata->schema, test_schema());
  EXPECT_EQ(read->metadata->configuration, entry.metadata->configuration);
  ASSERT_EQ(read->adds.size(), 1U);
  EXPECT_EQ(read->adds[0].path, entry.adds[0].path);
  EXPECT_EQ(read->adds[0].partition_values, entry.adds[0].partition_values);
  EXPECT_EQ(read->adds[0].stats_json, entry.adds[0].stats_json);
  ASSERT_EQ(read->removes.size(), 1U);
  EXPECT_FALSE(read->removes[0].data_change);
  EXPECT_EQ(read->progress, entry.progress);
}

TEST(LogEntry, RefusesWhatItWouldReadWrongly) {
  struct Case {
    const char* name;
    const char* text;
    Errc want;
  };
  const Case cases[] = {
      {"empty", "", Errc::corrupt},
      {"blank", "\n \n", Errc::corrupt},
      {"not json", "{", Errc::corrupt},
      {"not an object", "[]", Errc::corrupt},
      {"add without path", R"({"add":{"partitionValues":{},"size":1,"dataChange":true}})",
       Errc::corrupt},
      {"newer reader", R"({"protocol":{"minReaderVersion":3,"minWriterVersion":7}})",
       Errc::invalid_argument},
      {"deletion vector",
       R"({"add":{"path":"a","partitionValues":{},"size":1,"dataChange":true,"deletionVector":{}}})",
       Errc::invalid_argument},
      {"unknown type",
       R"({"metaData":{"id":"i","partitionColumns":[],"schemaString":"{\"fields\":[{\"name\":\"x\",\"type\":\"double\",\"nullable\":true}]}"}})",
       Errc::invalid_argument},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto entry = decode_log_entry(c.text, "7.json");
    ASSERT_FALSE(entry);
    EXPECT_EQ(entry.error().code, c.want) << entry.error().message;
  }
}

TEST(LogEntry, PassesOverActionsOfOtherFeatures) {
  EXPECT_TRUE(
      decode_log_entry("{\"cdc\":{\"path\":\"x\"}}\n\n{\"domainMetadata\":{}}\n", "7.json"));
}

TEST(EncodePath, SurvivesEveryByte) {
  std::string path;
  for (int byte = 1; byte < 256; ++byte) path += static_cast<char>(byte);
  EXPECT_EQ(decode_path(encode_path(path)), path);
  EXPECT_EQ(encode_path("date=2026-01-02/a b.parquet"), "date=2026-01-02/a%20b.parquet");
  EXPECT_FALSE(decode_path("a%2"));
  EXPECT_FALSE(decode_path("a%zz"));
}

TEST(MayWrite, AcceptsFurtherColumnsThatMayBeNull) {
  auto theirs = test_schema();
  theirs.columns.push_back({"bot", columnar::ColumnType::string, false});
  EXPECT_TRUE(may_write(test_schema(), theirs));
  theirs.columns.back().required = true;
  EXPECT_FALSE(may_write(test_schema(), theirs));
  EXPECT_FALSE(may_write(theirs, test_schema()));
}

}  // namespace
}  // namespace millrace::delta
