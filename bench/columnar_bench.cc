// Building and encoding a data file beside Arrow's own builders and Parquet writer, for the same
// rows and the same encodings: what our dictionaries, the sorting and the statistics cost or save.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/writer.h>

#include "base/assert.h"
#include "base/time_text.h"
#include "columnar/file_builder.h"
#include "store/object_store.h"

namespace millrace::columnar {
namespace {

constexpr std::size_t rows = 200'000;

struct Row {
  Timestamp timestamp;
  std::string path;
  std::string user_agent;
};

// Times about in order, as they arrive; 5,000 paths and 300 user agents, the first ones often.
const std::vector<Row>& data() {
  static const std::vector<Row> all = [] {
    std::mt19937 random(1);
    const auto often_low = [&](unsigned count) { return random() % (random() % count + 1); };
    const Timestamp begin = *parse_rfc3339("2026-02-01T00:00:00Z");
    std::vector<Row> made;
    for (std::size_t i = 0; i < rows; ++i) {
      const auto time = std::chrono::milliseconds(i * 2 + random() % 50);
      made.push_back({begin + time, fmt::format("/docs/getting-started-{}", often_low(5000)),
                      fmt::format("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                                  "Gecko) Chrome/{}.0.0.0 Safari/537.36",
                                  often_low(300))});
    }
    return made;
  }();
  return all;
}

class Discard final : public store::ObjectWriter {
 public:
  Result<void> write(std::string_view bytes) override {
    size_bytes_ += bytes.size();
    return {};
  }
  Result<void> finish() override { return {}; }
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  std::size_t size_bytes_ = 0;
};

void report(benchmark::State& state, std::int64_t file_bytes) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows));
  state.counters["file_bytes_per_row"] = static_cast<double>(file_bytes) / rows;
}

void build_and_encode(benchmark::State& state) {
  const TableSchema schema{.columns = {{"timestamp", ColumnType::timestamp, true},
                                       {"site", ColumnType::string, true},
                                       {"path", ColumnType::string, true},
                                       {"user_agent", ColumnType::string, false},
                                       {"status", ColumnType::int32, false},
                                       {"referrer", ColumnType::string, false}},
                           .partition_columns = {}};
  std::int64_t size_bytes = 0;
  for (auto round : state) {
    FileBuilder builder(schema, {.sort_column = "timestamp", .zstd_level = 1});
    for (const Row& row : data()) {
      builder.append_timestamp(0, row.timestamp);
      builder.append_string(1, "default");
      builder.append_string(2, row.path);
      builder.append_string(3, row.user_agent);
      builder.end_row();
    }
    Discard object;
    const auto summary = builder.finish(object);
    MR_ASSERT(summary && summary->rows == static_cast<std::int64_t>(rows));
    size_bytes = summary->size_bytes;
  }
  report(state, size_bytes);
}

template <typename Builder>
std::shared_ptr<arrow::Array> finish(Builder& builder) {
  std::shared_ptr<arrow::Array> array;
  MR_ASSERT(builder.Finish(&array).ok());
  return array;
}

std::shared_ptr<arrow::Table> arrow_table() {
  const auto time_type = arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
  arrow::TimestampBuilder times(time_type, arrow::default_memory_pool());
  arrow::StringDictionary32Builder sites;
  arrow::StringDictionary32Builder paths;
  arrow::StringDictionary32Builder agents;
  for (const Row& row : data()) {
    MR_ASSERT(times.Append(row.timestamp.time_since_epoch().count()).ok());
    MR_ASSERT(sites.Append("default").ok());
    MR_ASSERT(paths.Append(row.path).ok());
    MR_ASSERT(agents.Append(row.user_agent).ok());
  }
  const std::vector<std::shared_ptr<arrow::Array>> arrays = {
      finish(times),
      finish(sites),
      finish(paths),
      finish(agents),
      *arrow::MakeArrayOfNull(arrow::int32(), rows),
      *arrow::MakeArrayOfNull(arrow::utf8(), rows)};
  const char* names[] = {"timestamp", "site", "path", "user_agent", "status", "referrer"};
  std::vector<std::shared_ptr<arrow::Field>> fields;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    fields.push_back(arrow::field(names[i], arrays[i]->type(), i >= 3));
  }
  return arrow::Table::Make(arrow::schema(fields), arrays);
}

void arrow_alone(benchmark::State& state) {
  const auto properties = parquet::WriterProperties::Builder()
                              .version(parquet::ParquetVersion::PARQUET_2_6)
                              ->compression(parquet::Compression::ZSTD)
                              ->compression_level(1)
                              ->enable_write_page_index()
                              ->disable_dictionary("timestamp")
                              ->encoding("timestamp", parquet::Encoding::DELTA_BINARY_PACKED)
                              ->build();
  std::int64_t size_bytes = 0;
  for (auto round : state) {
    arrow::io::MockOutputStream stream_on_stack;
    const std::shared_ptr<arrow::io::OutputStream> stream(&stream_on_stack, [](auto*) {});
    MR_ASSERT(parquet::arrow::WriteTable(*arrow_table(), arrow::default_memory_pool(), stream,
                                         128 * 1024, properties)
                  .ok());
    size_bytes = stream_on_stack.GetExtentBytesWritten();
  }
  report(state, size_bytes);
}

BENCHMARK(arrow_alone)->Unit(benchmark::kMillisecond);
BENCHMARK(build_and_encode)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::columnar
