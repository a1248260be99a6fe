#include "record/batch_sink.h"

#include <fmt/format.h>

#include <utility>

#include "record/privacy.h"
#include "record/utf8.h"

namespace millrace::record {

void BatchSink::start(Batch& batch, bool site_is_fixed) {
  batch_ = &batch;
  batch.records.clear();
  batch.record_count = 0;
  batch.rejects.clear();
  index_ = 0;
  assembler_.start_batch(batch, site_is_fixed);
}

bool BatchSink::begin() {
  if (index_ == options_.records_max) return false;
  assembler_.start_record();
  return true;
}

void BatchSink::end(std::string_view payload) {
  Fault fault;
  if (payload.size() > options_.record_bytes_max) {
    fault.reason = fmt::format("{} bytes, more than the limit of {} (ingest.record_size_max)",
                               payload.size(), options_.record_bytes_max);
    return reject(payload, std::move(fault));
  }
  const Record* record = assembler_.finish(fault);
  if (record == nullptr) return reject(payload, std::move(fault));
  append_canonical(batch_->records, *record);
  ++batch_->record_count;
  ++index_;
}

void BatchSink::refuse(std::string_view payload, std::string reason) {
  reject(payload, {"", std::move(reason)});
}

void BatchSink::reject(std::string_view payload, Fault fault) {
  std::string kept;
  if (const auto setting = setting_against_payloads(options_); !setting.empty()) {
    fault.reason += fmt::format("; what came is not kept ({})", setting);
  } else {
    append_with_escaped_bytes(kept, cut_at_character(payload, reject_payload_bytes_max));
    // Escaping makes it longer.
    kept.resize(cut_at_character(kept, reject_payload_bytes_max).size());
  }
  batch_->rejects.push_back(
      {index_, std::move(fault.field), std::move(fault.reason), std::move(kept)});
  ++index_;
}

DecodeFailure too_many_records(const DecoderOptions& options) {
  return {
      DecodeFailure::Kind::too_many_records,
      fmt::format("more than {} records in one batch (ingest.records_max)", options.records_max),
      std::nullopt};
}

}  // namespace millrace::record
