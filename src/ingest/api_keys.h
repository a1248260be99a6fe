#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/server.h"

namespace millrace::ingest {

// A sender, known by the hash of its key.
struct ApiKey {
  std::string name;                         // Shown in logs; a part of batch_id.
  std::string sha256;                       // Of the key, as 64 hexadecimal digits.
  std::string site;                         // Of all that is sent with it.
  std::int64_t records_per_second_max = 0;  // 0: no limit.
};

// Errors: invalid_argument, without repeating the text.
Result<void> check_sha256(std::string_view hex);

// Finds senders by their keys. Immutable, so thread-safe.
class ApiKeys {
 public:
  // Each sha256 must satisfy check_sha256().
  explicit ApiKeys(std::vector<ApiKey> keys);

  bool is_empty() const { return keys_.empty(); }
  const std::vector<ApiKey>& all() const { return keys_; }

  // The index in all() of the key's sender. Takes the same time whichever key it is and however
  // much of it is right.
  std::optional<std::size_t> find(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;

  std::vector<ApiKey> keys_;
  std::vector<Digest> digests_;
};

// The key that a request carries: "Authorization: Bearer KEY" or "X-API-Key: KEY".
std::optional<std::string_view> key_in(const http::Request& request);

// Whether a browser sent it for a page of another host. Browsers let any page that its user looks
// at ask any address, loopback too.
bool is_of_strange_page(const http::Request& request);

}  // namespace millrace::ingest
