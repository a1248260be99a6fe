#include "columnar/text_times.h"

#include <gtest/gtest.h>

#include <map>

#include "base/time_text.h"
#include "columnar/file_builder.h"
#include "store/testing/memory_store.h"

namespace millrace::columnar {
namespace {

const TableSchema schema = {.columns = {{"at", ColumnType::timestamp, true},
                                        {"name", ColumnType::string},
                                        {"received_at", ColumnType::timestamp, true}},
                            .partition_columns = {}};

Timestamp minute(int number) {
  return parse_rfc3339("2026-11-24T12:00:00Z").value() + std::chrono::minutes(number);
}

class TextTimesTest : public testing::Test {
 protected:
  // Rows of a name ("": null) and the minute it was received.
  void write(const std::vector<std::pair<std::string, int>>& rows) {
    FileBuilder builder(schema, {.sort_column = "at", .row_group_rows_max = 3});
    for (const auto& [name, received] : rows) {
      builder.append_timestamp(0, minute(0));
      if (!name.empty()) builder.append_string(1, name);
      builder.append_timestamp(2, minute(received));
      builder.end_row();
    }
    auto object = store.create("file").value();
    ASSERT_TRUE(builder.finish(*object));
  }

  Result<std::map<std::string, Timestamp>> read(const TextTimeColumns& columns) {
    std::map<std::string, Timestamp> latest;
    MR_TRY(read_text_times(store, "file", columns, [&](std::string_view text, Timestamp time) {
      auto& known = latest[std::string(text)];
      known = std::max(known, time);
    }));
    return latest;
  }

  store::MemoryStore store;
};

TEST_F(TextTimesTest, GivesEachTextItsLatestTimeInAllRowGroups) {
  write({{"a", 1},
         {"", 9},
         {"b", 2},
         {"a", 5},
         {"", 9},
         {"", 9},
         {"", 9},
         {"", 9},
         {"", 9},
         {"a", 3}});
  const auto latest = read({"name", "received_at"});
  ASSERT_TRUE(latest) << latest.error().message;
  EXPECT_EQ(*latest, (std::map<std::string, Timestamp>{{"a", minute(5)}, {"b", minute(2)}}));
}

TEST_F(TextTimesTest, PassesOverAFileWithoutTheColumn) {
  write({{"a", 1}});
  EXPECT_TRUE(read({"other", "received_at"}).value().empty());
  EXPECT_TRUE(read({"name", "other"}).value().empty());
}

TEST_F(TextTimesTest, SaysWhatCannotBeRead) {
  EXPECT_EQ(read({"name", "received_at"}).error().code, Errc::not_found);
  write({{"a", 1}});
  EXPECT_EQ(read({"received_at", "name"}).error().code, Errc::corrupt);
  ASSERT_TRUE(store.put("file", "PAR1 and then nothing of the kind"));
  EXPECT_EQ(read({"name", "received_at"}).error().code, Errc::corrupt);
}

}  // namespace
}  // namespace millrace::columnar
