#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace {

using MetricLabels = std::map<std::string, std::string>;

// Goes up only. Thread-safe.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
  virtual double value() const = 0;
};

// Goes up and down. Thread-safe.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual double value() const = 0;
};

// Counts observations in buckets. Thread-safe.
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

// All metrics of a process. A component keeps a struct XMetrics of references with verbs
// (`flushed(...)`, `rejected(...)`), made from a registry that must outlive it. Names are
// `millrace_<role>_<noun>_<unit>[_total]`. Asking again for the same name and labels gives the same
// metric. Thread-safe.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  Counter& counter(const std::string& name, const std::string& help,
                   const MetricLabels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  Histogram& histogram(const std::string& name, const std::string& help,
                       const std::vector<double>& bucket_bounds, const MetricLabels& labels = {});

  // The Prometheus text exposition format, version 0.0.4, with those of the process itself.
  std::string exposition() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Bucket bounds for durations in seconds, 0.5 ms to 60 s.
const std::vector<double>& duration_seconds_buckets();

}  // namespace millrace
