#include "writer/writer_metrics.h"

#include <string>

namespace millrace::writer {
namespace {

double seconds(std::chrono::duration<double> duration) { return duration.count(); }

}  // namespace

WriterMetrics::WriterMetrics(MetricsRegistry& registry)
    : registry_(registry),
      entries_(registry.counter("millrace_writer_entries_total", "Journal entries read.")),
      records_(registry.counter("millrace_writer_records_total",
                                "Records committed to the table access_logs.")),
      dead_letters_(registry.counter("millrace_writer_dead_letters_total",
                                     "Rows committed to the table dead_letters.")),
      flushes_(registry.counter("millrace_writer_flushes_total", "Flushes that were committed.")),
      duplicates_(registry.counter("millrace_writer_duplicates_total",
                                   "Batches dropped because their key had come before.")),
      fenced_(registry.counter("millrace_writer_fenced_total",
                               "Commits refused because another writer had moved the position.")),
      failures_(registry.counter("millrace_writer_failures_total",
                                 "Attempts to read or to flush that failed and are repeated.")),
      flush_seconds_(registry.histogram("millrace_writer_flush_duration_seconds",
                                        "From the start of a flush to its commit.",
                                        duration_seconds_buckets())),
      commit_seconds_(registry.histogram("millrace_writer_commit_duration_seconds",
                                         "One commit to a table.", duration_seconds_buckets())),
      failing_(registry.gauge("millrace_writer_failing",
                              "1 while the journal or the tables cannot be used, else 0.")),
      buffered_bytes_(registry.gauge("millrace_writer_buffered_bytes",
                                     "Memory taken by rows that are not committed.")),
      freshness_seconds_(registry.gauge("millrace_writer_freshness_seconds",
                                        "Age of the oldest entry read and not committed; 0 when "
                                        "drained.")),
      lag_entries_(registry.gauge("millrace_writer_lag_entries",
                                  "Journal entries that the table does not cover.")),
      dedupe_window_seconds_(
          registry.gauge("millrace_writer_dedupe_window_seconds",
                         "How far back batches that come again are recognised: "
                         "writer.dedupe_window, or less where writer.dedupe_keys_max cuts it "
                         "short.")),
      table_version_(registry.gauge("millrace_writer_table_version",
                                    "Version of the table access_logs that this writer knows.")),
      table_files_(
          registry.gauge("millrace_writer_table_files", "Files of the table access_logs.")),
      table_bytes_(
          registry.gauge("millrace_writer_table_bytes", "Size of the files of access_logs.")) {}

void WriterMetrics::table(std::int64_t version, std::size_t files, std::uint64_t size_bytes) {
  table_version_.set(static_cast<double>(version));
  table_files_.set(static_cast<double>(files));
  table_bytes_.set(static_cast<double>(size_bytes));
}

void WriterMetrics::partition_lag(std::int32_t partition, std::int64_t entries,
                                  std::chrono::microseconds age) {
  const MetricLabels labels = {{"partition", std::to_string(partition)}};
  registry_
      .gauge("millrace_writer_partition_lag_entries",
             "Entries of a partition that this writer has and the table does not cover.", labels)
      .set(static_cast<double>(entries));
  registry_
      .gauge("millrace_writer_partition_lag_seconds",
             "How long ago the oldest of them was appended.", labels)
      .set(seconds(age));
}

void WriterMetrics::dead_letters_committed(std::size_t letters) {
  dead_letters_.add(static_cast<double>(letters));
}

void WriterMetrics::access_logs_committed(std::size_t records) {
  records_.add(static_cast<double>(records));
}

void WriterMetrics::commit_took(Duration duration) { commit_seconds_.observe(seconds(duration)); }

void WriterMetrics::flush_took(Duration duration) {
  flushes_.add();
  flush_seconds_.observe(seconds(duration));
}

void WriterMetrics::dedupe_window(std::chrono::microseconds window) {
  dedupe_window_seconds_.set(seconds(window));
}

void WriterMetrics::oldest_uncommitted(std::chrono::microseconds age) {
  freshness_seconds_.set(seconds(age));
}

}  // namespace millrace::writer
