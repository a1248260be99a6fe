#include "analytics/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/time_text.h"
#include "record/utf8.h"

namespace millrace::analytics {

namespace {

using namespace std::chrono_literals;

constexpr int limit_max = 1'000;
constexpr std::int64_t steps_max = 2'000;
constexpr std::chrono::hours range_default{24};

template <typename Value>
using Names = std::vector<std::pair<std::string_view, Value>>;

const Names<Topic>& topics() {
  static const Names<Topic> all = {{"timeseries", Topic::timeseries}, {"top", Topic::top},
                                   {"summary", Topic::summary},       {"crawlers", Topic::crawlers},
                                   {"errors", Topic::errors},         {"recent", Topic::recent}};
  return all;
}

template <typename Value>
Result<Value> value_of(std::string_view parameter, std::string_view text,
                       const Names<Value>& names) {
  std::string wanted;
  for (const auto& [name, value] : names) {
    if (text == name) return value;
    wanted += (wanted.empty() ? "" : ", ") + std::string(name);
  }
  return fail(Errc::invalid_argument,
              fmt::format("{}: \"{}\" is none of {}", parameter, text, wanted));
}

// The parameters that a topic knows: a misspelt one would be ignored in silence.
std::vector<std::string_view> parameters_of(Topic topic) {
  std::vector<std::string_view> names = {"site", "filter", "format"};
  if (topic != Topic::recent) names.insert(names.end(), {"from", "to"});
  switch (topic) {
    case Topic::timeseries: names.insert(names.end(), {"step", "by"}); break;
    case Topic::top: names.insert(names.end(), {"by", "order", "limit"}); break;
    case Topic::summary: break;
    case Topic::crawlers:
    case Topic::errors: names.emplace_back("limit"); break;
    case Topic::recent: names.insert(names.end(), {"of", "limit"}); break;
  }
  return names;
}

Result<void> check_parameters(Topic topic, const http::Request& request) {
  const auto known = parameters_of(topic);
  for (const auto& [name, value] : request.query) {
    if (std::ranges::find(known, name) == known.end()) {
      return fail(Errc::invalid_argument,
                  fmt::format("\"{}\" is no parameter of this (there are {})", name,
                              fmt::join(known, ", ")));
    }
    const bool is_single = name == "filter" || request.parameter(name)->data() == value.data();
    if (!is_single) {
      return fail(Errc::invalid_argument, fmt::format("{}: is given twice", name));
    }
    if (record::find_invalid_utf8(value) || value.find('\0') != std::string::npos) {
      return fail(Errc::invalid_argument, fmt::format("{}: is not a text in UTF-8", name));
    }
  }
  return {};
}

Result<Timestamp> parse_time(std::string_view parameter, std::string_view text) {
  if (const auto day = parse_iso_date(text)) return Timestamp(*day);
  if (const auto time = parse_rfc3339(text)) return *time;
  return fail(Errc::invalid_argument,
              fmt::format("{}: \"{}\" is neither a time nor a date (want e.g. "
                          "2026-11-24T08:00:00Z or 2026-11-24)",
                          parameter, text));
}

Result<void> parse_range(const http::Request& request, Timestamp now, Question& question) {
  const auto from = request.parameter("from");
  const auto to = request.parameter("to");
  question.to = std::chrono::floor<std::chrono::hours>(now) + 1h;
  if (to) {
    MR_TRY_ASSIGN(question.to, parse_time("to", *to));
  }
  question.from = question.to - range_default;
  if (from) {
    MR_TRY_ASSIGN(question.from, parse_time("from", *from));
  }
  if (question.from < question.to) return {};
  return fail(Errc::invalid_argument, "from: is not before to");
}

Result<void> parse_step(const http::Request& request, Question& question) {
  const auto step = request.parameter("step");
  if (!step) return {};
  const Names<std::chrono::seconds> steps = {{"minute", 60s}, {"hour", 3600s}, {"day", 86400s}};
  MR_TRY_ASSIGN(question.step, value_of("step", *step, steps));
  if ((question.to - question.from) / question.step < steps_max) return {};
  return fail(Errc::invalid_argument,
              fmt::format("step: there would be more than {} of them", steps_max));
}

Result<void> parse_by(const http::Request& request, Question& question) {
  const bool is_series = question.topic == Topic::timeseries;
  const auto by = request.parameter("by");
  if (!by && is_series) return {};
  const std::string_view name = by.value_or("path");
  question.by = find_field(name);
  if (question.by != nullptr && (!is_series || question.by->has_few_values)) return {};
  return fail(Errc::invalid_argument,
              fmt::format("by: \"{}\" is none of {}", name, field_names(is_series)));
}

Result<void> parse_limit(const http::Request& request, Question& question) {
  const auto text = request.parameter("limit");
  if (!text) return {};
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), question.limit);
  const bool is_number = error == std::errc() && end == text->data() + text->size();
  if (is_number && question.limit >= 1 && question.limit <= limit_max) return {};
  return fail(Errc::invalid_argument,
              fmt::format("limit: \"{}\" is not a number from 1 to {}", *text, limit_max));
}

Result<bool> wants_csv(const http::Request& request) {
  const auto format = request.parameter("format");
  if (format) return value_of<bool>("format", *format, {{"json", false}, {"csv", true}});
  return request.header("accept").value_or("").starts_with("text/csv");
}

}  // namespace

std::optional<Topic> topic_of(std::string_view path) {
  constexpr std::string_view folder = "/api/v1/";
  if (!path.starts_with(folder)) return std::nullopt;
  for (const auto& [name, topic] : topics()) {
    if (path.substr(folder.size()) == name) return topic;
  }
  return std::nullopt;
}

Result<Question> parse_question(Topic topic, const http::Request& request, Timestamp now) {
  Question question{.topic = topic};
  MR_TRY(check_parameters(topic, request));
  MR_TRY(parse_range(request, now, question));
  if (const auto site = request.parameter("site"); site && !site->empty()) question.site = *site;
  for (const auto& [name, value] : request.query) {
    if (name != "filter") continue;
    MR_TRY_ASSIGN(Filter filter, parse_filter(value));
    question.filters.push_back(std::move(filter));
  }
  if (topic == Topic::timeseries) MR_TRY(parse_step(request, question));
  if (topic == Topic::timeseries || topic == Topic::top) MR_TRY(parse_by(request, question));
  if (const auto order = request.parameter("order")) {
    const Names<Order> orders = {{"requests", Order::requests},
                                 {"errors", Order::errors},
                                 {"bytes", Order::bytes},
                                 {"duration", Order::duration}};
    MR_TRY_ASSIGN(question.order, value_of("order", *order, orders));
  }
  if (const auto of = request.parameter("of")) {
    MR_TRY_ASSIGN(question.is_of_rejects,
                  value_of<bool>("of", *of, {{"accepted", false}, {"rejected", true}}));
    if (question.is_of_rejects && !question.filters.empty()) {
      return fail(Errc::invalid_argument, "filter: rejected records have no fields to filter by");
    }
  }
  MR_TRY(parse_limit(request, question));
  MR_TRY_ASSIGN(question.is_csv, wants_csv(request));
  return question;
}

}  // namespace millrace::analytics
