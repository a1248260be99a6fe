#include "base/metrics.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "base/process_metrics.h"

namespace millrace {
namespace {

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }
  double value() const override { return counter_.Value(); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  double value() const override { return gauge_.Value(); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

// A malformed name, or one name for two types, is a bug where the metric is declared.
[[noreturn]] void abort_for(const std::string& name, const std::exception& exception) {
  fmt::print(stderr, "metric {}: {}\n", name, exception.what());
  std::abort();
}

// The metrics of one type: one family per name (the first help text stands), one metric per labels.
template <typename Library, typename Metric, typename Wrapper>
class Metrics {
 public:
  template <typename Builder, typename... Arguments>
  Metric& get(prometheus::Registry& registry, Builder builder, const std::string& name,
              const std::string& help, const MetricLabels& labels, const Arguments&... arguments) {
    try {
      auto& family = families_[name];
      if (family == nullptr) family = &builder.Name(name).Help(help).Register(registry);
      auto& metric = metrics_[{name, labels}];
      if (metric == nullptr) {
        metric = std::make_unique<Wrapper>(family->Add(labels, arguments...));
      }
      return *metric;
    } catch (const std::exception& exception) {
      abort_for(name, exception);
    }
  }

 private:
  std::map<std::string, prometheus::Family<Library>*> families_;
  std::map<std::pair<std::string, MetricLabels>, std::unique_ptr<Metric>> metrics_;
};

}  // namespace

struct MetricsRegistry::Impl {
  prometheus::Registry registry;

  std::mutex mutex;  // Guards what follows; the registry has its own.
  Metrics<prometheus::Counter, Counter, PrometheusCounter> counters;
  Metrics<prometheus::Gauge, Gauge, PrometheusGauge> gauges;
  Metrics<prometheus::Histogram, Histogram, PrometheusHistogram> histograms;
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::counter(const std::string& name, const std::string& help,
                                  const MetricLabels& labels) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counters.get(impl_->registry, prometheus::BuildCounter(), name, help, labels);
}

Gauge& MetricsRegistry::gauge(const std::string& name, const std::string& help,
                              const MetricLabels& labels) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->gauges.get(impl_->registry, prometheus::BuildGauge(), name, help, labels);
}

Histogram& MetricsRegistry::histogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& bucket_bounds,
                                      const MetricLabels& labels) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->histograms.get(impl_->registry, prometheus::BuildHistogram(), name, help, labels,
                               bucket_bounds);
}

std::string MetricsRegistry::exposition() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect()) + process_exposition();
}

const std::vector<double>& duration_seconds_buckets() {
  static const std::vector<double> bounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
  return bounds;
}

}  // namespace millrace
