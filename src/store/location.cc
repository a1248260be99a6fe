#include "store/location.h"

#include <fmt/format.h>

#include <utility>

#include "store/local_store.h"
#include "store/read_cache.h"
#include "store/s3_store.h"

namespace millrace::store {

namespace {

constexpr std::string_view s3_scheme = "s3://";

struct Bucket {
  std::string name;
  std::string prefix;
};

Bucket split(std::string_view url) {
  url.remove_prefix(s3_scheme.size());
  const auto slash = url.find('/');
  std::string_view prefix = slash == std::string_view::npos ? "" : url.substr(slash + 1);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return {std::string(url.substr(0, slash)), std::string(prefix)};
}

}  // namespace

Result<void> check_s3_endpoint(std::string_view endpoint) {
  if (endpoint.empty()) return {};
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!endpoint.starts_with(scheme)) continue;
    std::string_view host = endpoint.substr(scheme.size());
    if (host.ends_with('/')) host.remove_suffix(1);
    if (!host.empty() && host.find_first_of("/@?#") == std::string_view::npos) return {};
  }
  return fail(
      Errc::invalid_argument,
      "the endpoint is not a URL of a host alone (want e.g. http://127.0.0.1:9000; keys have "
      "settings of their own)");
}

bool is_s3(std::string_view url) { return url.starts_with(s3_scheme); }

Result<void> check_location(std::string_view url) {
  if (url.find("://") == std::string_view::npos) return {};
  if (is_s3(url) && !split(url).name.empty()) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("\"{}\" is neither a folder nor a bucket (want e.g. s3://bucket/lake)", url));
}

Result<std::unique_ptr<ObjectStore>> open_store(const Location& location, Access access,
                                                MetricsRegistry& metrics) {
  MR_TRY(check_location(location.url));
  if (!is_s3(location.url)) {
    MR_TRY_ASSIGN(auto store, access == Access::read_only ? LocalStore::open_read_only(location.url)
                                                          : LocalStore::open(location.url));
    return store;
  }
  auto [bucket, prefix] = split(location.url);
  MR_TRY_ASSIGN(std::shared_ptr<ReadCache> cache,
                ReadCache::open(location.cache_directory, location.cache_size_bytes_max));
  MR_TRY_ASSIGN(auto store, S3Store::open(location.s3, std::move(bucket), std::move(prefix),
                                          std::move(cache), metrics));
  MR_TRY(access == Access::read_only ? store->prove_readable() : store->prove_writable());
  return store;
}

}  // namespace millrace::store
