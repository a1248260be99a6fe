#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/stop_check.h"

namespace millrace::store {

struct ObjectInfo {
  std::string key;
  std::uint64_t size_bytes = 0;
  Timestamp modified;
};

// An object that is known to be there, as a table's log knows its files.
struct ObjectSize {
  std::string key;
  std::uint64_t size_bytes = 0;
};

// Objects as files of this machine, which stay as they are as long as this lives.
class LocalFiles {
 public:
  virtual ~LocalFiles() = default;

  // The directory that they are in.
  virtual const std::string& root() const = 0;

  std::string path_of(std::string_view key) const { return root() + '/' + std::string(key); }
};

// Writes one object piece by piece. The object appears under its key, whole and durable, when
// finish() returns; a writer destroyed before that leaves nothing visible. One thread.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;

  // Errors: exhausted (disk full), unavailable. After an error only destruction is left.
  virtual Result<void> write(std::string_view bytes) = 0;

  // Where the key exists: already_exists (nothing written), or, on S3, it is replaced.
  // Errors: already_exists, exhausted, unavailable (perhaps visible).
  virtual Result<void> finish() = 0;
};

// A flat key-to-bytes store: a local directory, S3, or memory in tests. Keys are relative paths
// with '/' between segments; no segment is empty, "." or "..". Thread-safe.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Creates or replaces. Atomic for readers, durable on return.
  // Errors: exhausted (nothing written), unavailable (perhaps written).
  virtual Result<void> put(std::string_view key, std::string_view bytes) = 0;

  // Creates. Of any number of racing callers exactly one succeeds. Durable on return.
  // Errors: already_exists (nothing written by this call, but an attempt of the same caller that
  // got no answer may be what exists), exhausted (nothing written), unavailable (perhaps written).
  virtual Result<void> put_if_absent(std::string_view key, std::string_view bytes) = 0;

  // Starts a new object of any size in bounded memory. Keys written this way are unique names that
  // are never written twice.
  virtual Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) = 0;

  // Errors: not_found, unavailable.
  virtual Result<std::string> get(std::string_view key) = 0;

  // `size_bytes` bytes from `offset_bytes` on; fewer where the object ends before.
  // Errors: not_found, unavailable.
  virtual Result<std::string> get_range(std::string_view key, std::uint64_t offset_bytes,
                                        std::uint64_t size_bytes) = 0;

  // Errors: not_found, unavailable.
  virtual Result<ObjectInfo> head(std::string_view key) = 0;

  // The objects whose key starts with `prefix` and is greater than `start_after`, sorted by key.
  // Objects that writers have not finished are not among them. No such prefix: empty.
  // Errors: unavailable.
  virtual Result<std::vector<ObjectInfo>> list(std::string_view prefix,
                                               std::string_view start_after = {}) = 0;

  // The names directly below `prefix` (empty, or ending with a slash) that have objects below them,
  // sorted. Errors: unavailable.
  virtual Result<std::vector<std::string>> list_folders(std::string_view prefix) = 0;

  // Repeating is safe: a key that is not there is a success. Errors: unavailable.
  virtual Result<void> remove(std::string_view key) = 0;

  // Makes every object that list(prefix) shows survive a power cut, also those that another process
  // has written and not yet synced. Nothing to do on S3. Errors: unavailable.
  virtual Result<void> make_durable(std::string_view prefix) = 0;

  // Files of this machine that hold the objects' bytes, for engines that read files: the objects
  // themselves, or cached copies. They must have been made by create().
  // Errors: not_found; exhausted (more than the cache may hold: the message has both sizes);
  // unavailable (also where `stop`, which any thread may call, said so).
  virtual Result<std::unique_ptr<LocalFiles>> local_files(const std::vector<ObjectSize>& objects,
                                                          const StopCheck& stop) = 0;

  // Deletes what writers of keys that start with `prefix` have left unfinished before `until`, as
  // far as the store can tell them apart, and returns how many there were. Errors: unavailable.
  virtual Result<std::size_t> remove_unfinished(std::string_view prefix, Timestamp until) = 0;

  // The process is to end: from now on calls fail at once where they would wait for a store that is
  // in trouble. From any thread.
  virtual void hurry() {}
};

}  // namespace millrace::store
