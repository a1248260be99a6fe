#include "record/fields.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <unordered_map>

namespace millrace::record {
namespace {

constexpr std::array<std::string_view, column_count> column_names = {
    "timestamp", "site",     "path",       "query",       "method",
    "host",      "referrer", "user_agent", "client_ip",   "protocol",
    "country",   "status",   "bytes",      "duration_us", "attributes"};

// Every name by which a column may come: Millrace's own first, then those of OpenTelemetry, nginx,
// Apache, Cloudflare, Fastly, Traefik, Vercel and Akamai, best first within a column.
constexpr Alias aliases[] = {
    {"timestamp", Column::timestamp, 0, 0},
    {"@timestamp", Column::timestamp, 0, 1},
    {"time", Column::timestamp, 0, 2},
    {"ts", Column::timestamp, 0, 3},
    {"time_local", Column::timestamp, 0, 4},
    {"time_iso8601", Column::timestamp, 0, 5},
    {"time_start", Column::timestamp, 0, 6},
    {"msec", Column::timestamp, 0, 7},
    {"EdgeStartTimestamp", Column::timestamp, 0, 8},
    {"StartUTC", Column::timestamp, 0, 9},
    {"reqTimeSec", Column::timestamp, 0, 10},
    {"site", Column::site, 0, 0},
    {"path", Column::path, 0, 0},
    {"url.path", Column::path, 0, 1},
    {"uri", Column::path, 0, 2},
    {"request_uri", Column::path, 0, 3},
    {"url", Column::path, 0, 4},
    {"http.target", Column::path, 0, 5},
    {"ClientRequestURI", Column::path, 0, 6},
    {"ClientRequestPath", Column::path, 0, 7},
    {"RequestPath", Column::path, 0, 8},
    {"reqPath", Column::path, 0, 9},
    {"query", Column::query, 0, 0},
    {"url.query", Column::query, 0, 1},
    {"query_string", Column::query, 0, 2},
    {"args", Column::query, 0, 3},
    {"queryStr", Column::query, 0, 4},
    {"method", Column::method, 0, 0},
    {"http.request.method", Column::method, 0, 1},
    {"http.method", Column::method, 0, 2},
    {"request_method", Column::method, 0, 3},
    {"ClientRequestMethod", Column::method, 0, 4},
    {"RequestMethod", Column::method, 0, 5},
    {"reqMethod", Column::method, 0, 6},
    {"host", Column::host, 0, 0},
    {"server.address", Column::host, 0, 1},
    {"http.host", Column::host, 0, 2},
    {"http_host", Column::host, 0, 3},
    {"ClientRequestHost", Column::host, 0, 4},
    {"RequestHost", Column::host, 0, 5},
    {"reqHost", Column::host, 0, 6},
    {"referrer", Column::referrer, 0, 0},
    {"referer", Column::referrer, 0, 1},
    {"http_referer", Column::referrer, 0, 2},
    {"http.request.header.referer", Column::referrer, 0, 3},
    {"ClientRequestReferer", Column::referrer, 0, 4},
    {"request_referer", Column::referrer, 0, 5},
    {"user_agent", Column::user_agent, 0, 0},
    {"userAgent", Column::user_agent, 0, 1},
    {"user_agent.original", Column::user_agent, 0, 2},
    {"http_user_agent", Column::user_agent, 0, 3},
    {"http.user_agent", Column::user_agent, 0, 4},
    {"ClientRequestUserAgent", Column::user_agent, 0, 5},
    {"request_user_agent", Column::user_agent, 0, 6},
    {"ua", Column::user_agent, 0, 7},
    {"client_ip", Column::client_ip, 0, 0},
    {"clientIp", Column::client_ip, 0, 1},
    {"client.address", Column::client_ip, 0, 2},
    {"remote_addr", Column::client_ip, 0, 3},
    {"remote_ip", Column::client_ip, 0, 4},
    {"ip", Column::client_ip, 0, 5},
    {"ClientHost", Column::client_ip, 0, 6},
    {"cliIP", Column::client_ip, 0, 7},
    {"protocol", Column::protocol, 0, 0},
    {"server_protocol", Column::protocol, 0, 1},
    {"network.protocol.version", Column::protocol, 0, 2},
    {"proto", Column::protocol, 0, 3},
    {"ClientRequestProtocol", Column::protocol, 0, 4},
    {"RequestProtocol", Column::protocol, 0, 5},
    {"country", Column::country, 0, 0},
    {"ClientCountry", Column::country, 0, 1},
    {"client.geo.country_iso_code", Column::country, 0, 2},
    {"status", Column::status, 0, 0},
    {"status_code", Column::status, 0, 1},
    {"statusCode", Column::status, 0, 2},
    {"http.response.status_code", Column::status, 0, 3},
    {"http.status_code", Column::status, 0, 4},
    {"EdgeResponseStatus", Column::status, 0, 5},
    {"DownstreamStatus", Column::status, 0, 6},
    {"bytes", Column::bytes, 0, 0},
    {"body_bytes_sent", Column::bytes, 0, 1},
    {"bytes_sent", Column::bytes, 0, 2},
    {"http.response.body.size", Column::bytes, 0, 3},
    {"size", Column::bytes, 0, 4},
    {"response_size", Column::bytes, 0, 5},
    {"EdgeResponseBodyBytes", Column::bytes, 0, 6},
    {"DownstreamContentSize", Column::bytes, 0, 7},
    {"duration_us", Column::duration_us, 0, 0},
    {"time_elapsed", Column::duration_us, 0, 1},
    {"duration_ms", Column::duration_us, 3, 2},
    {"response_time_ms", Column::duration_us, 3, 3},
    {"turnAroundTimeMSec", Column::duration_us, 3, 4},
    {"duration_ns", Column::duration_us, -3, 5},
    {"request_time", Column::duration_us, 6, 6},
    {"duration_s", Column::duration_us, 6, 7},
};

// Folds what the exact names leave open: case, and ' ' or '-' for '_'.
std::string folded(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) {
    return c == ' ' || c == '-' ? '_' : static_cast<char>(std::tolower(c));
  });
  return result;
}

struct AliasMaps {
  std::unordered_map<std::string_view, const Alias*> exact;
  std::unordered_map<std::string, const Alias*> by_folded;
  std::array<std::string, column_count> lists;

  AliasMaps() {
    for (const Alias& alias : aliases) {
      exact.emplace(alias.name, &alias);
      by_folded.emplace(folded(alias.name), &alias);
      std::string& list = lists[index_of(alias.column)];
      if (!list.empty()) list += ", ";
      list += alias.name;
    }
  }
};

const AliasMaps& maps() {
  static const AliasMaps instance;
  return instance;
}

}  // namespace

std::string_view name_of(Column column) { return column_names[index_of(column)]; }

std::optional<Column> column_of(std::string_view name) {
  const auto found = std::find(column_names.begin(), column_names.end(), name);
  if (found == column_names.end()) return std::nullopt;
  return static_cast<Column>(found - column_names.begin());
}

const Alias* find_alias(std::string_view name) {
  constexpr std::size_t name_size_max = 32;
  const AliasMaps& all = maps();
  if (const auto found = all.exact.find(name); found != all.exact.end()) return found->second;
  if (name.size() > name_size_max) return nullptr;
  const auto found = all.by_folded.find(folded(name));
  return found == all.by_folded.end() ? nullptr : found->second;
}

std::string_view alias_list(Column column) { return maps().lists[index_of(column)]; }

}  // namespace millrace::record
