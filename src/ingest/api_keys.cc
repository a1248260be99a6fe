#include "ingest/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/assert.h"

namespace millrace::ingest {

Result<void> check_sha256(std::string_view hex) {
  const bool is_valid =
      hex.size() == 64 && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
  if (is_valid) return {};
  return fail(Errc::invalid_argument,
              "not a SHA-256 hash (want 64 hexadecimal digits; see `millrace key create`)");
}

ApiKeys::ApiKeys(std::vector<ApiKey> keys) : keys_(std::move(keys)) {
  for (const ApiKey& key : keys_) {
    MR_ASSERT(check_sha256(key.sha256));
    Digest digest{};
    for (std::size_t i = 0; i < digest.size(); ++i) {
      std::from_chars(key.sha256.data() + 2 * i, key.sha256.data() + 2 * i + 2, digest[i], 16);
    }
    digests_.push_back(digest);
  }
}

std::optional<std::size_t> ApiKeys::find(std::string_view key) const {
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < digests_.size(); ++i) {
    if (CRYPTO_memcmp(digest.data(), digests_[i].data(), digest.size()) == 0) found = i;
  }
  return found;
}

std::optional<std::string_view> key_in(const http::Request& request) {
  if (const auto key = request.header("x-api-key")) return key;
  const auto authorization = request.header("authorization");
  constexpr std::string_view scheme = "bearer ";
  if (!authorization || authorization->size() < scheme.size()) return std::nullopt;
  std::string given(authorization->substr(0, scheme.size()));
  std::transform(given.begin(), given.end(), given.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (given != scheme) return std::nullopt;
  return authorization->substr(scheme.size());
}

bool is_of_strange_page(const http::Request& request) {
  const auto origin = request.header("origin");
  if (!origin) return false;
  const auto host = origin->find("://");
  return host == std::string_view::npos || origin->substr(host + 3) != request.header("host");
}

}  // namespace millrace::ingest
