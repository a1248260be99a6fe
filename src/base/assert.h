#pragma once

#include <cstdio>
#include <cstdlib>

// For bugs in this program, in every build type. Never for input, peers or disks: those get an
// Error.
#define MR_ASSERT(condition)                                                                 \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
