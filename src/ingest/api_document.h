#pragma once

#include <string_view>

namespace millrace::ingest {

// docs/api.yaml, as it was when the program was built.
std::string_view api_document();

}  // namespace millrace::ingest
