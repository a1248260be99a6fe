#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http/server.h"
#include "ingest/api_keys.h"

namespace millrace::analytics {

// Somebody who may read, known by the hash of a key.
struct ReadKey {
  std::string name;
  std::string sha256;              // Of the key, as 64 hexadecimal digits.
  std::vector<std::string> sites;  // What may be read; empty: all.
};

// Who may ask what. Immutable, so thread-safe.
class Readers {
 public:
  // No keys: everybody may read everything, unless `is_closed`: then nobody may.
  Readers(std::vector<ReadKey> keys, bool is_closed);

  // What whoever sent the request may read: its sites, empty for all. Otherwise the answer.
  struct Permission {
    std::vector<std::string> sites;
    std::optional<http::Response> refusal;
  };
  Permission permission(const http::Request& request) const;

 private:
  std::vector<ReadKey> keys_;
  ingest::ApiKeys known_;
  bool is_closed_ = false;
};

}  // namespace millrace::analytics
