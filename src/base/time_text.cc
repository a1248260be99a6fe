#include "base/time_text.h"

#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

namespace millrace {
namespace {

using std::chrono::microseconds;

constexpr std::size_t date_size = sizeof("2026-11-24") - 1;
constexpr std::size_t seconds_end = sizeof("2026-11-24T08:17:13") - 1;
constexpr std::size_t rfc3339_size = sizeof("2026-11-24T08:17:13.000123Z") - 1;
constexpr std::size_t fraction_digits_max = 9;

constexpr Timestamp time_min = std::chrono::sys_days(std::chrono::year(0) / 1 / 1);
constexpr Timestamp time_end = std::chrono::sys_days(std::chrono::year(10000) / 1 / 1);

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Writes `value` with leading zeros; the caller makes sure that it fits.
void put_digits(char* out, std::size_t digits, unsigned value) {
  for (std::size_t i = digits; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Reads exactly `digits` digits; a negative result means there was something else.
int take_digits(const char* text, std::size_t digits) {
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

void put_date(char* out, const std::chrono::year_month_day& date) {
  put_digits(out, 4, static_cast<unsigned>(int{date.year()}));
  out[4] = '-';
  put_digits(out + 5, 2, unsigned{date.month()});
  out[7] = '-';
  put_digits(out + 8, 2, unsigned{date.day()});
}

// Reads the ten characters at `text`. False: they are no date of the calendar.
bool take_date(const char* text, Day& day) {
  if (text[4] != '-' || text[7] != '-') return false;
  const int year = take_digits(text, 4);
  const int month = take_digits(text + 5, 2);
  const int day_of_month = take_digits(text + 8, 2);
  if (year < 0 || month < 0 || day_of_month < 0) return false;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day_of_month))};
  if (!date.ok()) return false;
  day = date;
  return true;
}

// Reads "08:17:13". False: not a time of day; a second of 60 is one.
bool take_time_of_day(const char* text, std::chrono::seconds& time_of_day) {
  if (text[2] != ':' || text[5] != ':') return false;
  const int hours = take_digits(text, 2);
  const int minutes = take_digits(text + 3, 2);
  const int seconds = take_digits(text + 6, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 60) {
    return false;
  }
  time_of_day = std::chrono::seconds(hours * 3600 + minutes * 60 + seconds);
  return true;
}

// Reads ".000123" from the front of `text`, if it starts with a dot, and removes it.
bool take_fraction(std::string_view& text, microseconds& fraction) {
  if (text.empty() || text[0] != '.') return true;
  std::size_t digits = 0;
  int micros = 0;
  while (digits + 1 < text.size() && is_digit(text[digits + 1])) {
    if (digits < 6) micros = micros * 10 + (text[digits + 1] - '0');
    ++digits;
  }
  if (digits == 0 || digits > fraction_digits_max) return false;
  for (std::size_t i = digits; i < 6; ++i) micros *= 10;
  fraction = microseconds(micros);
  text.remove_prefix(digits + 1);
  return true;
}

// Reads all of `text` as "", "Z" or "+02:00".
bool take_offset(std::string_view text, std::chrono::minutes& offset) {
  if (text.empty()) return true;
  if (text.size() == 1) return text[0] == 'Z' || text[0] == 'z';
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return false;
  const int hours = take_digits(text.data() + 1, 2);
  const int minutes = take_digits(text.data() + 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
  offset = std::chrono::minutes(hours * 60 + minutes);
  if (text[0] == '-') offset = -offset;
  return true;
}

bool take_timestamp(std::string_view text, Timestamp& time) {
  if (text.size() < seconds_end) return false;
  const char separator = text[date_size];
  if (separator != 'T' && separator != 't' && separator != ' ') return false;

  Day day;
  std::chrono::seconds time_of_day{};
  if (!take_date(text.data(), day)) return false;
  if (!take_time_of_day(text.data() + date_size + 1, time_of_day)) return false;

  std::string_view rest = text.substr(seconds_end);
  microseconds fraction{};
  std::chrono::minutes offset{};
  if (!take_fraction(rest, fraction) || !take_offset(rest, offset)) return false;

  time = day + time_of_day + fraction - offset;
  // An offset or a leap second can carry the edge years out of the four digits.
  return time >= time_min && time < time_end;
}

// Quotes what a client sent, cut so that an error stays one short line.
std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 64;
  if (text.size() <= shown_max) return fmt::format("\"{}\"", text);
  return fmt::format("\"{}...\"", text.substr(0, shown_max));
}

}  // namespace

std::string to_rfc3339(Timestamp time) {
  std::string text;
  append_rfc3339(text, time);
  return text;
}

void append_rfc3339(std::string& out, Timestamp time) {
  const Day day = day_of(time);
  const auto since_midnight = time - day;
  const auto micros = static_cast<std::uint64_t>(since_midnight.count());
  const auto seconds = static_cast<unsigned>(micros / 1'000'000);

  if (time < time_min || time >= time_end) [[unlikely]] {
    out += to_iso_date(day);
  } else {
    char date[date_size];
    put_date(date, day);
    out.append(date, date_size);
  }
  char clock[rfc3339_size - date_size];
  clock[0] = 'T';
  put_digits(clock + 1, 2, seconds / 3600);
  clock[3] = ':';
  put_digits(clock + 4, 2, seconds / 60 % 60);
  clock[6] = ':';
  put_digits(clock + 7, 2, seconds % 60);
  clock[9] = '.';
  put_digits(clock + 10, 6, static_cast<unsigned>(micros % 1'000'000));
  clock[16] = 'Z';
  out.append(clock, sizeof(clock));
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
  if (const auto time = try_parse_rfc3339(text)) [[likely]]
    return *time;
  return fail(
      Errc::invalid_argument,
      fmt::format("{} is not an RFC 3339 time (want e.g. 2026-11-24T08:17:13Z)", quoted(text)));
}

std::optional<Timestamp> try_parse_rfc3339(std::string_view text) {
  Timestamp time;
  return take_timestamp(text, time) ? std::optional(time) : std::nullopt;
}

std::string to_iso_date(Day day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()});
}

Result<Day> parse_iso_date(std::string_view text) {
  Day day;
  if (text.size() != date_size || !take_date(text.data(), day)) {
    return fail(Errc::invalid_argument,
                fmt::format("{} is not a date (want e.g. 2026-11-24)", quoted(text)));
  }
  return day;
}

}  // namespace millrace
