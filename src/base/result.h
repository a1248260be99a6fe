#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace millrace {

// What a caller can do about a failure, and nothing finer. The message says the rest, for people.
enum class Errc : std::uint8_t {
  invalid_argument,  // The request can never succeed as it stands.
  not_found,
  already_exists,
  conflict,     // Others won the race. Nothing of ours was written; trying again may succeed.
  fenced,       // Another process owns this work now. Nothing was written; stop.
  exhausted,    // A limit or the disk is full. Nothing was taken; trying later may succeed.
  unavailable,  // Failed or no answer in time. The effect may or may not have happened.
  corrupt,      // Stored bytes do not check. Never retried.
};

constexpr std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::conflict: return "conflict";
    case Errc::fenced: return "fenced";
    case Errc::exhausted: return "exhausted";
    case Errc::unavailable: return "unavailable";
    case Errc::corrupt: return "corrupt";
  }
  return "unknown";
}

struct Error {
  Errc code;
  std::string message;
};

// A value or an Error. [[nodiscard]] on the type: dropping one anywhere is a build failure.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(tl::expected<T, Error> base) : tl::expected<T, Error>(std::move(base)) {}
};

inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace millrace

// The only two macros of the error path. In a coroutine, test and co_return by hand.
#define MR_TRY(expression)                                        \
  do {                                                            \
    if (auto mr_result = (expression); !mr_result) [[unlikely]] { \
      return tl::unexpected(std::move(mr_result).error());        \
    }                                                             \
  } while (false)

#define MR_CONCAT_(a, b) a##b
#define MR_CONCAT(a, b) MR_CONCAT_(a, b)
#define MR_TRY_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                           \
  if (!result) [[unlikely]]                             \
    return tl::unexpected(std::move(result).error());   \
  declaration = *std::move(result)
#define MR_TRY_ASSIGN(declaration, expression) \
  MR_TRY_ASSIGN_(MR_CONCAT(mr_result_, __LINE__), declaration, expression)
