#include "ingest/ingest_metrics.h"

#include <map>
#include <string>

namespace millrace::ingest {

namespace {

constexpr int acknowledged_status = 202;

}  // namespace

IngestMetrics::IngestMetrics(MetricsRegistry& registry)
    : registry_(registry),
      received_bytes_(registry.counter("millrace_ingest_received_bytes_total",
                                       "Bytes of request bodies, before decompression.")),
      accepted_(registry.counter("millrace_ingest_records_accepted_total",
                                 "Records that were acknowledged as accepted.")),
      acknowledged_requests_(requests(acknowledged_status)),
      in_flight_(registry.gauge("millrace_ingest_requests_in_flight",
                                "Batches that were read and not answered yet.")),
      duration_(registry.histogram("millrace_ingest_request_duration_seconds",
                                   "From the whole request to the answer.",
                                   duration_seconds_buckets())) {}

void IngestMetrics::request_read(std::size_t body_bytes) {
  received_bytes_.add(static_cast<double>(body_bytes));
  add_in_flight(1);
}

void IngestMetrics::request_answered(int status, std::chrono::steady_clock::duration duration) {
  add_in_flight(-1);
  duration_.observe(std::chrono::duration<double>(duration).count());
  count(status);
}

void IngestMetrics::request_refused(int status) { count(status); }

void IngestMetrics::batch_acknowledged(const record::Batch& batch) {
  accepted_.add(static_cast<double>(batch.record_count));
  // The fields are columns of ours: few, whatever clients send.
  std::map<std::string, std::size_t> rejects_by_field;
  for (const record::Reject& reject : batch.rejects) {
    ++rejects_by_field[reject.field.empty() ? "record" : reject.field];
  }
  for (const auto& [field, count] : rejects_by_field) {
    registry_
        .counter("millrace_ingest_records_rejected_total",
                 "Records that were rejected, by the field at fault.", {{"field", field}})
        .add(static_cast<double>(count));
  }
}

void IngestMetrics::add_in_flight(int change) {
  const std::lock_guard lock(mutex_);
  in_flight_count_ += change;
  in_flight_.set(static_cast<double>(in_flight_count_));
}

Counter& IngestMetrics::requests(int status) {
  return registry_.counter(
      "millrace_ingest_requests_total",
      "Requests to POST /logs, and requests that broke a limit or could not be read, by status.",
      {{"status", std::to_string(status)}});
}

void IngestMetrics::count(int status) {
  Counter& counter = status == acknowledged_status ? acknowledged_requests_ : requests(status);
  counter.add();
}

}  // namespace millrace::ingest
