#include "base/units.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/assert.h"

namespace millrace {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t kb = 1000;

// Largest first within each family: formatting takes the first that divides.
constexpr std::array<Unit, 4> binary_units{
    {{"TiB", kib* kib* kib* kib}, {"GiB", kib* kib* kib}, {"MiB", kib* kib}, {"KiB", kib}}};
constexpr std::array<Unit, 5> decimal_units{
    {{"TB", kb* kb* kb* kb}, {"GB", kb* kb* kb}, {"MB", kb* kb}, {"kB", kb}, {"KB", kb}}};
constexpr std::array<Unit, 5> time_units{
    {{"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}}};

struct Amount {
  std::uint64_t number;
  std::string_view unit;
};

// Splits "10 MiB" into 10 and "MiB".
std::optional<Amount> split(std::string_view text) {
  Amount amount{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, amount.number);
  if (error != std::errc()) return std::nullopt;
  amount.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  if (amount.unit.size() > 1 && amount.unit.front() == ' ') amount.unit.remove_prefix(1);
  return amount;
}

std::optional<std::uint64_t> factor_of(std::string_view name, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> size_factor_of(std::string_view name) {
  if (name.empty() || name == "B") return 1;
  if (const auto factor = factor_of(name, binary_units)) return factor;
  return factor_of(name, decimal_units);
}

// The product, unless it is more than `product_max`.
std::optional<std::uint64_t> product_of(const Amount& amount, std::optional<std::uint64_t> factor,
                                        std::uint64_t product_max) {
  if (!factor || amount.number > product_max / *factor) return std::nullopt;
  return amount.number * *factor;
}

std::optional<std::string> format_with(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  if (const auto amount = split(text)) {
    const auto size_bytes = product_of(*amount, size_factor_of(amount->unit),
                                       std::numeric_limits<std::uint64_t>::max());
    if (size_bytes) return *size_bytes;
  }
  return fail(Errc::invalid_argument, fmt::format("\"{}\" is not a size (want e.g. 10MiB)", text));
}

std::string format_size(std::uint64_t size_bytes) {
  if (auto text = format_with(size_bytes, binary_units)) return *std::move(text);
  if (auto text = format_with(size_bytes, decimal_units)) return *std::move(text);
  return std::to_string(size_bytes);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  using Rep = std::chrono::milliseconds::rep;
  if (text == "0") return std::chrono::milliseconds(0);
  if (const auto amount = split(text)) {
    const auto millis = product_of(*amount, factor_of(amount->unit, time_units),
                                   static_cast<std::uint64_t>(std::numeric_limits<Rep>::max()));
    if (millis) return std::chrono::milliseconds(static_cast<Rep>(*millis));
  }
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a duration (want e.g. 250ms, 5s, 1h or 7d)", text));
}

std::string format_duration(std::chrono::milliseconds duration) {
  MR_ASSERT(duration.count() >= 0);
  return format_with(static_cast<std::uint64_t>(duration.count()), time_units).value_or("0");
}

std::string rounded_size(std::uint64_t size_bytes) {
  if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
  double size = static_cast<double>(size_bytes);
  std::string_view unit;
  for (const std::string_view larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = larger;
  }
  return size < 10 ? fmt::format("{:.1f} {}", size, unit) : fmt::format("{:.0f} {}", size, unit);
}

}  // namespace millrace
