#include "record/record_assembler.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/time_text.h"
#include "record/privacy.h"
#include "record/utf8.h"

namespace millrace::record {
namespace {

// No web server has logged anything before: a smaller time is a mistake, such as 0.
// The first that RFC 3339 can write.
constexpr Timestamp year_zero = std::chrono::sys_days(std::chrono::year(0) / 1 / 1);
constexpr Timestamp earliest = std::chrono::sys_days(std::chrono::year(1990) / 1 / 1);

constexpr std::array<Column, 9> text_columns = {
    Column::site,       Column::query,     Column::method,   Column::host,   Column::referrer,
    Column::user_agent, Column::client_ip, Column::protocol, Column::country};

bool complain(Fault& fault, Column column, std::string reason) {
  fault = {std::string(name_of(column)), std::move(reason)};
  return false;
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Also "200.0" and "1e3", as programs write whole numbers that know no others.
std::optional<std::int64_t> whole_number_of(std::string_view text) {
  if (const auto number = number_of<std::int64_t>(text)) return number;
  constexpr double exact_max = 1LL << 53;
  const auto number = number_of<double>(text);
  if (!number || std::abs(*number) > exact_max || *number != std::floor(*number)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*number);
}

}  // namespace

RecordAssembler::RecordAssembler(const DecoderOptions& options)
    : options_(options), may_show_values_(setting_against_payloads(options).empty()) {}

void RecordAssembler::start_batch(const Batch& batch, bool site_is_fixed) {
  batch_ = &batch;
  site_is_fixed_ = site_is_fixed;
  days_.clear();
}

void RecordAssembler::start_record() {
  values_.fill({});
  extra_.clear();
  kept_.clear();
}

std::string RecordAssembler::shown(std::string_view text) const {
  if (!may_show_values_) return "the value";
  constexpr std::size_t shown_max = 64;
  const std::string_view head = cut_at_character(text, shown_max);
  return fmt::format("\"{}{}\"", head, head.size() < text.size() ? "..." : "");
}

std::string_view RecordAssembler::keep(std::string text) {
  return kept_.emplace_back(std::move(text));
}

void RecordAssembler::add_text(std::string_view name, std::string_view text) {
  // An empty text says no more than no text.
  if (!text.empty()) add(name, text, Kind::text);
}

void RecordAssembler::add_number(std::string_view name, std::string_view digits) {
  add(name, digits, Kind::number);
}

void RecordAssembler::add_json(std::string_view name, std::string_view json) {
  add(name, json, Kind::json);
}

// Of several names of one column the best wins, of one name the last; the others stay attributes.
void RecordAssembler::add(std::string_view name, std::string_view text, Kind kind) {
  const Alias* alias = find_alias(name);
  if (alias == nullptr) {
    extra_.emplace_back(name, text);
    return;
  }
  // As servers write that there is none; a request that is none has it for a path.
  if (text == "-" && kind == Kind::text && alias->column != Column::path) return;
  Value& value = value_of(alias->column);
  if (value.kind == Kind::none) {
    value = {kind, text, name, alias};
  } else if (alias->rank <= value.alias->rank) {
    if (alias != value.alias) displace(value);
    value = {kind, text, name, alias};
  } else {
    displace({kind, text, name, alias});
  }
}

void RecordAssembler::displace(const Value& value) {
  const Column column = value.alias->column;
  const bool may_be_url =
      column == Column::path || column == Column::host || column == Column::referrer;
  auto url = may_be_url ? url_without_user(value.text) : std::nullopt;
  extra_.emplace_back(value.name, url ? keep(*std::move(url)) : value.text);
}

const Record* RecordAssembler::finish(Fault& fault) {
  Attributes attributes = std::move(record_.attributes);
  attributes.clear();
  record_ = {};
  record_.attributes = std::move(attributes);
  const bool is_valid = take_timestamp(fault) && take_path(fault) && take_texts(fault) &&
                        take_status(fault) && take_bytes(fault) && take_duration(fault) &&
                        take_attributes(fault) && check_day(fault);
  if (!is_valid) return nullptr;
  protect_privacy();
  return &record_;
}

bool RecordAssembler::take_timestamp(Fault& fault) {
  const Value& value = value_of(Column::timestamp);
  if (value.kind == Kind::none) {
    return complain(fault, Column::timestamp,
                    fmt::format("missing (any of {})", alias_list(Column::timestamp)));
  }
  const auto time = value.kind == Kind::json ? std::nullopt : parse_timestamp(value.text);
  if (!time) {
    return complain(
        fault, Column::timestamp,
        fmt::format("{} is not a time (want RFC 3339, or a number since 1970)", shown(value.text)));
  }
  if (*time < earliest) {
    return complain(fault, Column::timestamp,
                    fmt::format("{} is before 1990", to_rfc3339(std::max(*time, year_zero))));
  }
  if (*time > batch_->received_at + options_.future_max) {
    return complain(fault, Column::timestamp,
                    fmt::format("{} is more than {} s in the future (ingest.future_max)",
                                shown(value.text), options_.future_max.count()));
  }
  record_.timestamp = *time;
  return true;
}

// The path of a target such as "/a?b=1" or "https://example.com/a?b=1", whose other parts fill the
// columns that have no value of their own.
bool RecordAssembler::take_path(Fault& fault) {
  const Value& value = value_of(Column::path);
  if (value.kind == Kind::none) {
    return complain(fault, Column::path,
                    fmt::format("missing (any of {})", alias_list(Column::path)));
  }
  if (value.kind != Kind::text) {
    return complain(fault, Column::path, fmt::format("{} is not a text", shown(value.text)));
  }
  std::string_view target = value.text;
  if (const auto url = split_url(target)) {
    Value& host = value_of(Column::host);
    if (host.kind == Kind::none && !url->authority.empty()) {
      host = {Kind::text, url->authority, {}, nullptr};
    }
    target = url->target;
    if (target.empty() || target.front() != '/') target = keep("/" + std::string(target));
  }
  const std::size_t question_mark = target.find('?');
  if (question_mark != std::string_view::npos) {
    Value& query = value_of(Column::query);
    const std::string_view text = target.substr(question_mark + 1);
    if (query.kind == Kind::none && !text.empty()) query = {Kind::text, text, {}, nullptr};
    target = target.substr(0, question_mark);
  }
  if (target.size() > options_.path_bytes_max) {
    return complain(fault, Column::path,
                    fmt::format("{} bytes, more than the limit of {} (ingest.path_size_max)",
                                target.size(), options_.path_bytes_max));
  }
  record_.path = target.empty() ? std::string_view("/") : target;
  return true;
}

bool RecordAssembler::take_texts(Fault& fault) {
  for (const Column column : text_columns) {
    const Value& value = value_of(column);
    if (value.kind == Kind::none) continue;
    // Some schemas nest objects under these names: {"host":{"name":...}}.
    if (value.kind == Kind::json) {
      extra_.emplace_back(value.name, value.text);
      continue;
    }
    if (value.text.size() > options_.field_bytes_max) {
      return complain(fault, column,
                      fmt::format("{} bytes, more than the limit of {} (ingest.field_size_max)",
                                  value.text.size(), options_.field_bytes_max));
    }
    record_.*text_member(column) = value.text;
  }
  if (site_is_fixed_ || record_.site == batch_->site) record_.site.reset();
  if (record_.query && record_.query->starts_with('?')) record_.query->remove_prefix(1);
  if (record_.host) record_.host = host_without_user(*record_.host);
  if (record_.host == "") record_.host.reset();
  if (record_.referrer && record_.referrer->find('@') != std::string_view::npos) {
    if (auto url = url_without_user(*record_.referrer)) record_.referrer = keep(*std::move(url));
  }
  return true;
}

bool RecordAssembler::take_status(Fault& fault) {
  const Value& value = value_of(Column::status);
  if (value.kind == Kind::none) return true;
  const auto status = whole_number_of(value.text);
  constexpr std::int64_t status_min = 100;
  constexpr std::int64_t status_max = 599;
  if (!status || *status < status_min || *status > status_max) {
    return complain(fault, Column::status,
                    fmt::format("{} is not a whole number from 100 to 599", shown(value.text)));
  }
  record_.status = static_cast<std::int32_t>(*status);
  return true;
}

bool RecordAssembler::take_bytes(Fault& fault) {
  const Value& value = value_of(Column::bytes);
  if (value.kind == Kind::none) return true;
  const auto bytes = whole_number_of(value.text);
  if (!bytes || *bytes < 0) {
    return complain(fault, Column::bytes,
                    fmt::format("{} is not a whole number from 0 to 2^63-1", shown(value.text)));
  }
  record_.bytes = bytes;
  return true;
}

bool RecordAssembler::take_duration(Fault& fault) {
  const Value& value = value_of(Column::duration_us);
  if (value.kind == Kind::none) return true;
  if (const auto whole = number_of<std::int64_t>(value.text);
      whole && *whole >= 0 && value.alias->unit_exponent == 0) {
    record_.duration_us = whole;
    return true;
  }
  constexpr double duration_us_max = 1e15;  // 31 years.
  const auto number = number_of<double>(value.text);
  const double duration_us = number ? *number * std::pow(10.0, value.alias->unit_exponent) : -1.0;
  if (!(duration_us >= 0 && duration_us <= duration_us_max)) {
    return complain(fault, Column::duration_us,
                    fmt::format("{} ({}) is not a duration", shown(value.text), value.name));
  }
  record_.duration_us = std::llround(duration_us);
  return true;
}

bool RecordAssembler::take_attributes(Fault& fault) {
  const Value& given = value_of(Column::attributes);
  if (given.kind != Kind::none) extra_.emplace_back(given.name, given.text);
  if (extra_.size() > options_.attributes_max) {
    return complain(fault, Column::attributes,
                    fmt::format("{} unknown fields, more than the limit of {} "
                                "(ingest.attributes_max)",
                                extra_.size(), options_.attributes_max));
  }
  for (const auto& [name, text] : extra_) {
    if (name.size() + text.size() <= options_.field_bytes_max) continue;
    return complain(
        fault, Column::attributes,
        fmt::format("{} has {} bytes, more than the limit of {} (ingest.field_size_max)",
                    shown(name), name.size() + text.size(), options_.field_bytes_max));
  }
  std::stable_sort(extra_.begin(), extra_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& attribute : extra_) {
    // Of a name that is there twice the last wins.
    if (!record_.attributes.empty() && record_.attributes.back().first == attribute.first) {
      record_.attributes.back() = attribute;
    } else {
      record_.attributes.push_back(attribute);
    }
  }
  return true;
}

bool RecordAssembler::check_day(Fault& fault) {
  const Day day = day_of(record_.timestamp);
  if (std::find(days_.rbegin(), days_.rend(), day) != days_.rend()) return true;
  if (days_.size() == options_.days_max) {
    return complain(fault, Column::timestamp,
                    fmt::format("{} would be the batch's day number {}, more than the limit of {} "
                                "(ingest.days_max)",
                                to_iso_date(day), days_.size() + 1, options_.days_max));
  }
  days_.push_back(day);
  return true;
}

void RecordAssembler::protect_privacy() {
  if (options_.client_ip != ClientIpPrivacy::keep) protect_client_ip();
  if (!options_.redacted_query_parameters.empty()) redact_parameters();
}

void RecordAssembler::protect_client_ip() {
  const bool is_truncated = options_.client_ip == ClientIpPrivacy::truncate;
  const auto keep_address = [this](std::optional<std::string> address) {
    return address ? std::optional(keep(*std::move(address))) : std::nullopt;
  };
  if (record_.client_ip) {
    // What is no address cannot be made coarser: it goes.
    record_.client_ip =
        is_truncated ? keep_address(truncated_address(*record_.client_ip)) : std::nullopt;
  }
  std::erase_if(record_.attributes, [&](auto& attribute) {
    auto& [name, text] = attribute;
    if (with_truncated_addresses(name)) return true;
    const bool is_named = is_named_for_client(name, text);
    auto truncated = is_named ? truncated_address(text) : with_truncated_addresses(text);
    if (!is_truncated || !truncated) return is_named || truncated.has_value();
    text = keep(*std::move(truncated));
    return false;
  });
}

void RecordAssembler::redact_parameters() {
  const auto& secrets = options_.redacted_query_parameters;
  const auto redact = [this](std::string_view& text, std::optional<std::string> redacted) {
    if (redacted) text = keep(*std::move(redacted));
  };
  redact(record_.path, redacted_text(record_.path, secrets));
  if (record_.query) redact(*record_.query, redacted_query(*record_.query, secrets));
  if (record_.referrer) redact(*record_.referrer, redacted_text(*record_.referrer, secrets));
  for (auto& attribute : record_.attributes) {
    redact(attribute.second, redacted_text(attribute.second, secrets));
  }
}

}  // namespace millrace::record
