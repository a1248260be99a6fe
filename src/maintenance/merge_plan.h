#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "delta/delta_table.h"

// For this folder only.
namespace millrace::maintenance {

// Which files of one partition to merge, a group of `files_min` or more into one file each.
//
// Files of three quarters of `file_size_bytes` are done with. A file is not merged with others that
// are together less than a quarter of it: so a record is rewritten a few times as its file grows,
// and not each time that something comes.
std::vector<std::vector<delta::AddFile>> plan_merges(std::vector<delta::AddFile> partition,
                                                     std::uint64_t file_size_bytes,
                                                     std::size_t files_min);

}  // namespace millrace::maintenance
