#include <array>
#include <charconv>
#include <cmath>

#include "base/time_text.h"
#include "record/record_assembler.h"

namespace millrace::record {
namespace {

using std::chrono::microseconds;

// Each unit of time covers the years 1973 to 5138 without overlapping the next.
constexpr double seconds_below = 1e11;
constexpr double milliseconds_below = 1e14;
constexpr double microseconds_below = 1e17;

std::optional<Timestamp> from_whole_number(std::int64_t number) {
  const auto size = static_cast<double>(number < 0 ? -(number + 1) : number);
  if (size < seconds_below) return Timestamp(std::chrono::seconds(number));
  if (size < milliseconds_below) return Timestamp(std::chrono::milliseconds(number));
  if (size < microseconds_below) return Timestamp(microseconds(number));
  return Timestamp(microseconds(number / 1000));
}

std::optional<Timestamp> from_fraction(double number) {
  const double size = std::abs(number);
  if (!(size < 1e19)) return std::nullopt;
  double factor = 1e-3;
  if (size < seconds_below)
    factor = 1e6;
  else if (size < milliseconds_below)
    factor = 1e3;
  else if (size < microseconds_below)
    factor = 1;
  return Timestamp(microseconds(std::llround(number * factor)));
}

std::optional<int> digits_at(std::string_view text, std::size_t at, std::size_t count) {
  int number = 0;
  const char* begin = text.data() + at;
  if (*begin < '0' || *begin > '9') return std::nullopt;
  const auto parsed = std::from_chars(begin, begin + count, number);
  if (parsed.ptr != begin + count) return std::nullopt;
  return number;
}

std::optional<unsigned> month_of(std::string_view name) {
  constexpr std::array<std::string_view, 12> names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (unsigned i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i + 1;
  }
  return std::nullopt;
}

// "10/Oct/2000:13:55:36 -0700"
std::optional<Timestamp> parse_apache_time(std::string_view text) {
  constexpr std::size_t apache_size = 26;
  if (text.size() != apache_size || text[2] != '/' || text[6] != '/' || text[11] != ':' ||
      text[14] != ':' || text[17] != ':' || text[20] != ' ') {
    return std::nullopt;
  }
  const auto day = digits_at(text, 0, 2);
  const auto month = month_of(text.substr(3, 3));
  const auto year = digits_at(text, 7, 4);
  const auto hour = digits_at(text, 12, 2);
  const auto minute = digits_at(text, 15, 2);
  const auto second = digits_at(text, 18, 2);
  const auto zone_hour = digits_at(text, 22, 2);
  const auto zone_minute = digits_at(text, 24, 2);
  const bool is_signed = text[21] == '+' || text[21] == '-';
  if (!day || !month || !year || !hour || !minute || !second || !zone_hour || !zone_minute ||
      !is_signed || *hour > 23 || *minute > 59 || *second > 60 || *zone_hour > 23 ||
      *zone_minute > 59) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok()) return std::nullopt;
  const auto zone =
      std::chrono::minutes(*zone_hour * 60 + *zone_minute) * (text[21] == '-' ? -1 : 1);
  return Timestamp(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
         std::chrono::minutes(*minute) + std::chrono::seconds(*second) - zone;
}

}  // namespace

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  if (auto time = try_parse_rfc3339(text)) return time;
  if (auto time = parse_apache_time(text)) return time;
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  const auto parsed = std::from_chars(text.data(), end, whole);
  if (parsed.ec == std::errc() && parsed.ptr == end) return from_whole_number(whole);
  double fraction = 0;
  const auto parsed_fraction = std::from_chars(text.data(), end, fraction);
  if (parsed_fraction.ec == std::errc() && parsed_fraction.ptr == end)
    return from_fraction(fraction);
  return std::nullopt;
}

}  // namespace millrace::record
