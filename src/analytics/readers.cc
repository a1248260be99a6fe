#include "analytics/readers.h"

#include <algorithm>
#include <utility>

#include "ingest/replies.h"

namespace millrace::analytics {

namespace {

ingest::ApiKeys known(const std::vector<ReadKey>& keys) {
  std::vector<ingest::ApiKey> all;
  for (const ReadKey& key : keys) all.push_back({.name = key.name, .sha256 = key.sha256});
  return ingest::ApiKeys(std::move(all));
}

// "localhost:8080", "127.0.0.1", "[::1]:8080".
bool is_loopback(std::string_view host) {
  const bool is_ipv6 = host.starts_with("[");
  const std::string_view name =
      host.substr(0, is_ipv6 ? std::min(host.find(']') + 1, host.size()) : host.find(':'));
  return name == "localhost" || name == "[::1]" ||
         (name.starts_with("127.") &&
          name.find_first_not_of("0123456789.") == std::string_view::npos);
}

}  // namespace

Readers::Readers(ReadAccess access) : access_(std::move(access)), known_(known(access_.keys)) {}

Readers::Permission Readers::permission(const http::Request& request) const {
  if (access_.keys.empty()) {
    return {.reader = "", .sites = {}, .refusal = refusal_without_keys(request)};
  }
  const auto key = ingest::key_in(request);
  const auto found = key ? known_.find(*key) : std::nullopt;
  if (!found) return {.reader = "", .sites = {}, .refusal = ingest::no_key_reply()};
  const ReadKey& reader = access_.keys[*found];
  return {.reader = reader.name, .sites = reader.sites, .refusal = {}};
}

std::optional<http::Response> Readers::refusal_without_keys(const http::Request& request) const {
  if (access_.is_closed) {
    return ingest::error_reply(403,
                               "nobody may read here: set query.keys (`millrace key create`), or "
                               "query.allow_unauthenticated where everybody may");
  }
  const bool is_of_other_page =
      ingest::is_of_strange_page(request) || request.header("sec-fetch-site") == "cross-site";
  if (is_of_other_page) {
    return ingest::error_reply(403, "a page of another host may not read here");
  }
  if (access_.takes_any_host || is_loopback(request.header("host").value_or("localhost"))) {
    return std::nullopt;
  }
  return ingest::error_reply(
      403,
      "without keys this is read by the name localhost or its address only: set query.keys, or "
      "query.allow_unauthenticated where everybody may read");
}

}  // namespace millrace::analytics
