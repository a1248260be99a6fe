#include "journal/kafka_journal.h"

#include <utility>

#include "base/assert.h"
#include "journal/kafka_appender.h"
#include "journal/kafka_consumer.h"

namespace millrace::journal {

namespace {

class KafkaJournal final : public Journal {
 public:
  KafkaJournal(KafkaOptions options, std::unique_ptr<KafkaAppender> appender,
               MetricsRegistry& metrics)
      : options_(std::move(options)), appender_(std::move(appender)), metrics_(metrics) {}

  Appender& appender() override {
    MR_ASSERT(appender_ != nullptr);
    return *appender_;
  }

  Result<std::unique_ptr<Consumer>> open_consumer(Consumer::Listener& listener) override {
    return KafkaConsumer::open(options_, listener, metrics_);
  }

  void close() override {
    if (appender_) appender_->close();
  }

 private:
  const KafkaOptions options_;
  const std::unique_ptr<KafkaAppender> appender_;  // Null where the process does not append.
  MetricsRegistry& metrics_;
};

}  // namespace

Result<std::unique_ptr<Journal>> open_kafka_journal(KafkaOptions options, KafkaEnds ends,
                                                    MetricsRegistry& metrics) {
  std::unique_ptr<KafkaAppender> appender;
  if (ends != KafkaEnds::consume) {
    MR_TRY_ASSIGN(appender, KafkaAppender::open(options, metrics));
  }
  return std::make_unique<KafkaJournal>(std::move(options), std::move(appender), metrics);
}

}  // namespace millrace::journal
