#pragma once

#include <compare>
#include <cstddef>
#include <functional>

namespace millrace {

// An integer with a meaning. Two different tags do not mix; arithmetic is spelled out by name.
template <typename Tag, typename Rep>
class Tagged {
 public:
  constexpr Tagged() = default;
  constexpr explicit Tagged(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr Tagged next() const { return Tagged(value_ + 1); }
  friend constexpr auto operator<=>(Tagged, Tagged) = default;

 private:
  Rep value_{};
};

}  // namespace millrace

template <typename Tag, typename Rep>
struct std::hash<millrace::Tagged<Tag, Rep>> {
  std::size_t operator()(millrace::Tagged<Tag, Rep> tagged) const noexcept {
    return std::hash<Rep>()(tagged.value());
  }
};
