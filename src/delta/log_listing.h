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
  std::vector<Object> entries;
  std::vector<Object> checkpoints;  // Classic ones, of one file.
};

// `objects` as a store lists them.
LogListing sort_out(const std::vector<store::ObjectInfo>& objects);

}  // namespace millrace::delta
