#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <random>
#include <string>

#include "base/assert.h"
#include "base/time_text.h"
#include "record/canonical.h"
#include "record/decoder.h"

// What decoding costs beside the least that any reader of the same bytes must pay: simdjson's
// On-Demand parser looking at three fields. Fixed data; each result is checked once.

namespace millrace::record {
namespace {

constexpr std::size_t records_per_body = 1000;

// A JSON array of records of about 197 bytes: timestamp, path and userAgent. As JSON lines where
// `separator` is a line break.
std::string make_body(char separator) {
  constexpr const char* agents[] = {
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "Chrome/126.0.0.0 Safari/537.36",
      "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about) like Gecko, gzip, "
      "polite, v2026.03"};
  std::mt19937 random(1);
  std::string body(1, separator == '\n' ? ' ' : '[');
  for (std::size_t i = 0; i < records_per_body; ++i) {
    if (i > 0) body += separator;
    body += fmt::format(R"({{"timestamp":"2026-02-{:02}T{:02}:{:02}:{:02}.{:03}Z",)"
                        R"("path":"/catalogue/garden-tool/products/{:06}","userAgent":"{}"}})",
                        random() % 3 + 1, random() % 24, random() % 60, random() % 60,
                        random() % 1000, random() % 1'000'000, agents[random() % 2]);
  }
  body += separator == '\n' ? '\n' : ']';
  return body;
}

// Lines as nginx and Apache write them, of about 200 bytes.
std::string make_combined_body() {
  std::mt19937 random(1);
  std::string body;
  for (std::size_t i = 0; i < records_per_body; ++i) {
    body += fmt::format(
        "192.0.2.{} - - [{:02}/Feb/2026:{:02}:{:02}:{:02} +0000] \"GET /catalogue/{:06} HTTP/1.1\" "
        "200 {} \"https://www.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\"\n",
        random() % 256, random() % 3 + 1, random() % 24, random() % 60, random() % 60,
        random() % 1'000'000, random() % 100'000);
  }
  return body;
}

Batch empty_batch() {
  Batch batch;
  batch.site = "default";
  batch.received_at = *parse_rfc3339("2026-03-01T00:00:00Z");
  return batch;
}

void report(benchmark::State& state, std::size_t body_size) {
  const auto rounds = state.iterations();
  state.SetItemsProcessed(rounds * static_cast<std::int64_t>(records_per_body));
  state.SetBytesProcessed(rounds * static_cast<std::int64_t>(body_size));
}

void simdjson_three_fields(benchmark::State& state) {
  const simdjson::padded_string body(make_body(','));
  simdjson::ondemand::parser parser;
  std::size_t sizes = 0;
  for (auto round : state) {
    sizes = 0;
    simdjson::ondemand::document document = parser.iterate(body);
    for (simdjson::ondemand::object record : document.get_array()) {
      sizes += std::string_view(record["timestamp"]).size();
      sizes += std::string_view(record["path"]).size();
      sizes += std::string_view(record["userAgent"]).size();
    }
    benchmark::DoNotOptimize(sizes);
  }
  MR_ASSERT(sizes > records_per_body * 100);
  report(state, body.size());
}
BENCHMARK(simdjson_three_fields);

void decode(benchmark::State& state, Format format, const std::string& body) {
  Decoder decoder{DecoderOptions{}};
  Batch batch = empty_batch();
  std::string copy;
  for (auto round : state) {
    copy = body;
    const auto failure = decoder.decode(format, copy, false, batch);
    benchmark::DoNotOptimize(failure);
  }
  MR_ASSERT(batch.record_count == records_per_body && batch.rejects.empty());
  report(state, body.size());
}
BENCHMARK_CAPTURE(decode, json, Format::json, make_body(','));
BENCHMARK_CAPTURE(decode, ndjson, Format::ndjson, make_body('\n'));
BENCHMARK_CAPTURE(decode, combined, Format::combined, make_combined_body());

void read_canonical(benchmark::State& state) {
  std::string body = make_body(',');
  Decoder decoder{DecoderOptions{}};
  Batch batch = empty_batch();
  MR_ASSERT(!decoder.decode(Format::json, body, false, batch));
  CanonicalReader reader;
  std::size_t records = 0;
  for (auto round : state) {
    records = 0;
    reader.reset(batch.records);
    for (auto record = reader.next(); record && *record != nullptr; record = reader.next()) {
      ++records;
      benchmark::DoNotOptimize(*record);
    }
  }
  MR_ASSERT(records == records_per_body);
  report(state, batch.records.size());
}
BENCHMARK(read_canonical);

}  // namespace
}  // namespace millrace::record
