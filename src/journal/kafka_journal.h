#pragma once

#include <memory>

#include "base/metrics.h"
#include "journal/journal.h"
#include "journal/kafka_options.h"

namespace millrace::journal {

// Which ends of the journal a process uses: a writer has no producer, and needs no right to write.
enum class KafkaEnds : std::uint8_t { append, consume, both };

// A journal in a topic of an Apache Kafka cluster; the topic's partitions are the journal's. Any
// number of processes append and consume. Contacts nobody yet: brokers that are away are no error,
// the appender's failure() tells. `metrics` must outlive the journal.
// Errors: invalid_argument.
Result<std::unique_ptr<Journal>> open_kafka_journal(KafkaOptions options, KafkaEnds ends,
                                                    MetricsRegistry& metrics);

}  // namespace millrace::journal
