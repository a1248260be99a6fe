#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(MetricsRegistry, GivesTheSameMetricForTheSameNameAndLabels) {
  MetricsRegistry registry;
  Counter& json =
      registry.counter("millrace_ingest_requests_total", "Requests.", {{"type", "json"}});
  Counter& csv = registry.counter("millrace_ingest_requests_total", "Requests.", {{"type", "csv"}});
  EXPECT_NE(&json, &csv);
  EXPECT_EQ(&json,
            &registry.counter("millrace_ingest_requests_total", "Requests.", {{"type", "json"}}));
  json.add();
  json.add(2);
  EXPECT_EQ(json.value(), 3);
  EXPECT_EQ(csv.value(), 0);
}

TEST(MetricsRegistry, ExposesEveryMetricAsPrometheusText) {
  MetricsRegistry registry;
  registry.counter("millrace_ingest_bytes_total", "Bytes taken.").add(5);
  registry.gauge("millrace_journal_size_bytes", "Bytes held.", {{"topic", "a\"b"}}).set(-1.5);
  Histogram& seconds = registry.histogram("millrace_writer_flush_seconds", "Flushes.", {0.1, 1});
  seconds.observe(0.05);
  seconds.observe(0.5);
  seconds.observe(50);

  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("# HELP millrace_ingest_bytes_total Bytes taken.\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE millrace_ingest_bytes_total counter\n"));
  EXPECT_THAT(text, HasSubstr("millrace_ingest_bytes_total 5\n"));
  EXPECT_THAT(text, HasSubstr("millrace_journal_size_bytes{topic=\"a\\\"b\"} -1.5\n"));
  EXPECT_THAT(text, HasSubstr("millrace_writer_flush_seconds_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("millrace_writer_flush_seconds_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("millrace_writer_flush_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("millrace_writer_flush_seconds_count 3\n"));
}

TEST(MetricsRegistry, StopsAtANameThatIsABug) {
  MetricsRegistry registry;
  registry.counter("millrace_twice", "First.");
  EXPECT_DEATH(registry.gauge("millrace_twice", "Second."), "millrace_twice");
  EXPECT_DEATH(registry.counter("not a name", "Help."), "not a name");
}

}  // namespace
}  // namespace millrace
