#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace millrace {

// A UTC day: the partition of every table.
using Day = std::chrono::sys_days;

inline Day day_of(Timestamp time) { return std::chrono::floor<std::chrono::days>(time); }

// "2026-11-24T08:17:13.000123Z": always 27 characters for the years 0000 to 9999.
std::string to_rfc3339(Timestamp time);

// Appends what to_rfc3339() returns; for the hot path.
void append_rfc3339(std::string& out, Timestamp time);

// Reads RFC 3339 section 5.6 with any UTC offset; also a blank instead of the T, no seconds'
// fraction or up to nine digits of one (cut to microseconds), and a missing offset as UTC, since
// servers write all of these. Leap seconds (":60") are read as the second after.
// Errors: invalid_argument.
Result<Timestamp> parse_rfc3339(std::string_view text);

// The same without a reason, for texts that are often something else.
std::optional<Timestamp> try_parse_rfc3339(std::string_view text);

// "2026-11-24".
std::string to_iso_date(Day day);

// Errors: invalid_argument.
Result<Day> parse_iso_date(std::string_view text);

}  // namespace millrace
