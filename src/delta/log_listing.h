#pragma once

#include <vector>

#include "delta/delta_table.h"
#include "store/object_store.h"

// For this folder only.
namespace millrace::delta {

// What a log's folder holds, oldest first. Objects of other kinds are passed over.
struct LogListing {
  struct Object {
    Version version;
    store::ObjectInfo info;
  };
  // A classic one, of one file or of several parts, all of which are there.
  struct Checkpoint {
    Version version;
    std::vector<store::ObjectInfo> parts;
  };
  std::vector<Object> entries;
  std::vector<Checkpoint> checkpoints;
};

// `objects` as a store lists them.
LogListing sort_out(const std::vector<store::ObjectInfo>& objects);

}  // namespace millrace::delta
