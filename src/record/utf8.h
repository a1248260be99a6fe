#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::record {

// Where `text` stops being valid UTF-8; nullopt: nowhere.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// Appends `text` with each byte that is not part of valid UTF-8 written as the four characters
// \xHH, as web servers write it in their logs.
void append_with_escaped_bytes(std::string& out, std::string_view text);

// The longest prefix of at most `size_max` bytes that does not end within a character.
std::string_view cut_at_character(std::string_view text, std::size_t size_max);

}  // namespace millrace::record
