#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analytics/field.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"
#include "query/record_filter.h"

namespace millrace::analytics {

enum class Topic : std::uint8_t { timeseries, top, summary, crawlers, errors, recent };

enum class Order : std::uint8_t { requests, errors, bytes, duration };

// One question about a lake's records, as a request asks it. docs/api.yaml has the parameters.
struct Question {
  Topic topic = Topic::summary;
  Timestamp from{};  // Included.
  Timestamp to{};    // Not included.
  std::optional<std::string> site;
  std::vector<std::string> sites;  // What the asker may see at all; empty: everything.
  std::vector<Filter> filters;
  std::chrono::seconds step{3600};  // Of a time series: a minute, an hour or a day.
  const Field* by = nullptr;        // What a time series is split by, or the top values are of.
  Order order = Order::requests;
  bool is_of_rejects = false;  // The most recent ones that were rejected, not accepted.
  int limit = 20;
  bool is_csv = false;

  query::RecordFilter record_filter() const { return {.from = from, .to = to, .site = site}; }
};

// The topic of a path such as "/api/v1/top"; nullopt: there is none.
std::optional<Topic> topic_of(std::string_view path);

// The question of a request. Times that it does not name are the last 24 hours, to the end of the
// hour that `now` is in. Errors: invalid_argument.
Result<Question> parse_question(Topic topic, const http::Request& request, Timestamp now);

}  // namespace millrace::analytics
