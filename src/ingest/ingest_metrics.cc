#include "ingest/ingest_metrics.h"

#include <string>

namespace millrace::ingest {

IngestMetrics::IngestMetrics(MetricsRegistry& registry)
    : registry_(registry),
      received_bytes_(registry.counter("millrace_ingest_received_bytes_total",
                                       "Bytes of request bodies, before decompression.")),
      accepted_(registry.counter("millrace_ingest_records_accepted_total",
                                 "Records that were acknowledged as accepted.")),
      duration_(registry.histogram("millrace_ingest_request_duration_seconds",
                                   "From the whole request to the answer.",
                                   duration_seconds_buckets())) {}

void IngestMetrics::request_read(std::size_t body_bytes) {
  received_bytes_.add(static_cast<double>(body_bytes));
}

void IngestMetrics::batch_acknowledged(const record::Batch& batch) {
  accepted_.add(static_cast<double>(batch.record_count));
  for (const record::Reject& reject : batch.rejects) {
    // The fields are columns of ours: few, whatever clients send.
    registry_
        .counter("millrace_ingest_records_rejected_total",
                 "Records that were rejected, by the field at fault.",
                 {{"field", reject.field.empty() ? "record" : reject.field}})
        .add();
  }
}

void IngestMetrics::answered(int status, std::chrono::steady_clock::duration duration) {
  registry_
      .counter("millrace_ingest_requests_total", "Requests to POST /logs, by status.",
               {{"status", std::to_string(status)}})
      .add();
  duration_.observe(std::chrono::duration<double>(duration).count());
}

}  // namespace millrace::ingest
