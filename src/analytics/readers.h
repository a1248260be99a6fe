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

// Who may read.
struct ReadAccess {
  std::vector<ReadKey> keys;
  // Without keys: nobody may. Else everybody may who asks for this machine by a name of its own, as
  // the pages of others do not, whatever they have their names point to (DNS rebinding).
  bool is_closed = false;
  bool takes_any_host = false;  // By any name, that is.
};

// Who may ask what. Immutable, so thread-safe.
class Readers {
 public:
  explicit Readers(ReadAccess access);

  // What whoever sent the request may read: its sites, empty for all. Otherwise the answer.
  struct Permission {
    std::string reader;  // The name of the key; empty: there are no keys.
    std::vector<std::string> sites;
    std::optional<http::Response> refusal;
  };
  Permission permission(const http::Request& request) const;

 private:
  std::optional<http::Response> refusal_without_keys(const http::Request& request) const;

  ReadAccess access_;
  ingest::ApiKeys known_;
};

}  // namespace millrace::analytics
