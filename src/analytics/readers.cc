#include "analytics/readers.h"

#include <utility>

#include "ingest/replies.h"

namespace millrace::analytics {

namespace {

ingest::ApiKeys known(const std::vector<ReadKey>& keys) {
  std::vector<ingest::ApiKey> all;
  for (const ReadKey& key : keys) all.push_back({.name = key.name, .sha256 = key.sha256});
  return ingest::ApiKeys(std::move(all));
}

}  // namespace

Readers::Readers(std::vector<ReadKey> keys, bool is_closed)
    : keys_(std::move(keys)), known_(known(keys_)), is_closed_(is_closed) {}

Readers::Permission Readers::permission(const http::Request& request) const {
  if (keys_.empty() && !is_closed_) {
    if (!ingest::is_of_strange_page(request)) return {};
    return {.sites = {},
            .refusal = ingest::error_reply(403, "a page of another host may not read here")};
  }
  const auto key = ingest::key_in(request);
  const auto found = key ? known_.find(*key) : std::nullopt;
  if (found) return {.sites = keys_[*found].sites, .refusal = {}};
  if (keys_.empty()) {
    return {.sites = {},
            .refusal = ingest::error_reply(
                403,
                "nobody may read here: senders have keys (api_keys), but readers have none "
                "(set query.keys, see `millrace key create`)")};
  }
  return {.sites = {}, .refusal = ingest::no_key_reply()};
}

}  // namespace millrace::analytics
