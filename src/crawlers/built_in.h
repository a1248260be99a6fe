#pragma once

#include <string_view>

namespace millrace::crawlers {

// The text of crawlers.json.
std::string_view built_in_crawlers();

}  // namespace millrace::crawlers
