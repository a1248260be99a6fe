#include "base/config.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/config_text.h"
#include "base/units.h"

namespace millrace {
namespace {

template <typename Number>
Result<Number> parse_number(std::string_view text, std::string_view what) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) {
    return fail(Errc::invalid_argument, fmt::format("\"{}\" is not {}", text, what));
  }
  return number;
}

template <typename T>
Result<void> check_bounds(T value, ConfigBounds<T> bounds, std::string (*format)(T)) {
  if (value < bounds.min) {
    return fail(Errc::invalid_argument, fmt::format("{} is less than the least allowed, {}",
                                                    format(value), format(bounds.min)));
  }
  // Written so that a NaN does not pass.
  if (!(value <= bounds.max)) {
    return fail(Errc::invalid_argument, fmt::format("{} is more than the most allowed, {}",
                                                    format(value), format(bounds.max)));
  }
  return {};
}

// A key for values of type T with an order: text -> T by `parse`, T -> text by `format`.
template <typename T>
ConfigKey bounded_key(std::string path, std::string sentence, std::string_view type_name,
                      ConfigBounds<T> bounds, Result<T> (*parse)(std::string_view),
                      std::string (*format)(T), std::function<void(T)> put,
                      std::function<T()> get) {
  ConfigKey key{.kind = ConfigKey::Kind::scalar,
                .path = std::move(path),
                .sentence = std::move(sentence),
                .type_text = fmt::format("{} from {} to {}", type_name, format(bounds.min),
                                         format(bounds.max))};
  key.read = [bounds, parse, format, put = std::move(put)](std::string_view text) -> Result<void> {
    MR_TRY_ASSIGN(const T value, parse(text));
    MR_TRY(check_bounds(value, bounds, format));
    put(value);
    return {};
  };
  key.write = [format, get = std::move(get)] { return format(get()); };
  MR_ASSERT(key.read(key.write()));
  return key;
}

Result<std::int64_t> parse_integer(std::string_view text) {
  return parse_number<std::int64_t>(text, "a whole number");
}

Result<double> parse_double(std::string_view text) {
  return parse_number<double>(text, "a number");
}

std::string format_integer(std::int64_t value) { return std::to_string(value); }

std::string format_double(double value) { return fmt::format("{}", value); }

ConfigKey text_key(ConfigKey::Kind kind, std::string path, std::string sentence,
                   std::string& target, TextCheck check) {
  ConfigKey key{.kind = kind,
                .path = std::move(path),
                .sentence = std::move(sentence),
                .type_text = kind == ConfigKey::Kind::secret ? "secret" : "text"};
  key.read = [&target, check = std::move(check),
              default_value = target](std::string_view text) -> Result<void> {
    if (check && text != default_value) MR_TRY(check(text));
    target = text;
    return {};
  };
  key.write = [&target] { return target; };
  return key;
}

bool is_path(std::string_view path) {
  if (path.empty() || path.front() == '.' || path.back() == '.') return false;
  if (path.find("..") != std::string_view::npos) return false;
  return std::all_of(path.begin(), path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

bool is_section_of(std::string_view section, std::string_view path) {
  return path.size() > section.size() && path.starts_with(section) && path[section.size()] == '.';
}

}  // namespace

void ConfigKeys::add_bool(std::string path, bool& target, std::string sentence) {
  add_choice(std::move(path), target, {{"true", true}, {"false", false}}, std::move(sentence));
}

void ConfigKeys::add_integer_key(std::string path, ConfigBounds<std::int64_t> bounds,
                                 std::string sentence, std::function<void(std::int64_t)> put,
                                 std::function<std::int64_t()> get) {
  add(bounded_key<std::int64_t>(std::move(path), std::move(sentence), "whole number", bounds,
                                parse_integer, format_integer, std::move(put), std::move(get)));
}

void ConfigKeys::add_number(std::string path, double& target, ConfigBounds<double> bounds,
                            std::string sentence) {
  add(bounded_key<double>(
      std::move(path), std::move(sentence), "number", bounds, parse_double, format_double,
      [&target](double value) { target = value; }, [&target] { return target; }));
}

void ConfigKeys::add_size_key(std::string path, ConfigBounds<std::uint64_t> bounds,
                              std::string sentence, std::function<void(std::uint64_t)> put,
                              std::function<std::uint64_t()> get) {
  add(bounded_key<std::uint64_t>(std::move(path), std::move(sentence), "size", bounds, parse_size,
                                 format_size, std::move(put), std::move(get)));
}

void ConfigKeys::add_duration(std::string path, std::chrono::milliseconds& target,
                              ConfigBounds<std::chrono::milliseconds> bounds,
                              std::string sentence) {
  add(bounded_key<std::chrono::milliseconds>(
      std::move(path), std::move(sentence), "duration", bounds, parse_duration, format_duration,
      [&target](std::chrono::milliseconds value) { target = value; },
      [&target] { return target; }));
}

void ConfigKeys::add_text(std::string path, std::string& target, std::string sentence,
                          TextCheck check) {
  add(text_key(ConfigKey::Kind::text, std::move(path), std::move(sentence), target,
               std::move(check)));
}

void ConfigKeys::add_secret(std::string path, std::string& target, std::string sentence,
                            TextCheck check) {
  add(text_key(ConfigKey::Kind::secret, std::move(path), std::move(sentence), target,
               std::move(check)));
}

void ConfigKeys::add_choice_key(std::string path, std::vector<std::string> words,
                                std::string sentence, std::function<void(std::size_t)> put,
                                std::function<std::size_t()> get) {
  ConfigKey key{.kind = ConfigKey::Kind::scalar,
                .path = std::move(path),
                .sentence = std::move(sentence),
                .type_text = fmt::format("one of {}", fmt::join(words, ", "))};
  key.read = [words, put = std::move(put)](std::string_view text) -> Result<void> {
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) {
      return fail(Errc::invalid_argument,
                  fmt::format("\"{}\" is not one of {}", text, fmt::join(words, ", ")));
    }
    put(static_cast<std::size_t>(found - words.begin()));
    return {};
  };
  key.write = [words, get = std::move(get)] {
    const std::size_t index = get();
    MR_ASSERT(index < words.size());
    return words[index];
  };
  add(std::move(key));
}

void ConfigKeys::add_text_list(std::string path, std::vector<std::string>& target,
                               std::string sentence, TextCheck check) {
  ConfigKey key{.kind = ConfigKey::Kind::text_list,
                .path = std::move(path),
                .sentence = std::move(sentence),
                .type_text = "list of texts"};
  key.resize = [&target](std::size_t size) { target.assign(size, {}); };
  key.size = [&target] { return target.size(); };
  key.text_item = [&target, check = std::move(check)](std::size_t index) {
    ConfigKey item = text_key(ConfigKey::Kind::text, "", "", target[index], {});
    // An item has no default that could go unchecked.
    item.read = [&target, check, index](std::string_view text) -> Result<void> {
      if (check) MR_TRY(check(text));
      target[index] = text;
      return {};
    };
    return item;
  };
  add_list_key(std::move(key));
}

void ConfigKeys::add_list_key(ConfigKey key) {
  const std::size_t size = key.size();
  if (key.kind == ConfigKey::Kind::element_list) {
    key.type_text = "list";
    key.default_text = size == 0 ? "[]" : fmt::format("{} of them", size);
  } else {
    std::vector<std::string> items;
    for (std::size_t i = 0; i < size; ++i) items.push_back(quoted_yaml(key.text_item(i).write()));
    key.default_text = fmt::format("[{}]", fmt::join(items, ", "));
  }
  add(std::move(key));
}

void ConfigKeys::add(ConfigKey key) {
  MR_ASSERT(is_path(key.path));
  MR_ASSERT(!has_section(key.path));
  for (const ConfigKey& other : keys_) {
    MR_ASSERT(other.path != key.path && !is_section_of(other.path, key.path));
  }
  switch (key.kind) {
    case ConfigKey::Kind::scalar: key.default_text = key.write(); break;
    case ConfigKey::Kind::text: key.default_text = quoted_yaml(key.write()); break;
    case ConfigKey::Kind::secret:
    case ConfigKey::Kind::text_list:
    case ConfigKey::Kind::element_list: break;
  }
  keys_.push_back(std::move(key));
}

void ConfigKeys::require(std::string_view path) {
  for (ConfigKey& key : keys_) {
    if (key.path == path) {
      key.is_required = true;
      return;
    }
  }
  MR_ASSERT(false && "require() of a path that was not added");
}

const ConfigKey* ConfigKeys::find(std::string_view path) const {
  for (const ConfigKey& key : keys_) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

bool ConfigKeys::has_section(std::string_view path) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [path](const ConfigKey& key) { return is_section_of(path, key.path); });
}

void ConfigKeys::leave_secrets(std::string path) { left_secrets_.push_back(std::move(path)); }

bool ConfigKeys::leaves_secret(std::string_view path) const {
  return std::any_of(left_secrets_.begin(), left_secrets_.end(), [path](const std::string& left) {
    const char next = path.starts_with(left) && path.size() > left.size() ? path[left.size()] : '.';
    return path.starts_with(left) && (next == '.' || next == '[');
  });
}

std::string ConfigKeys::place_of(const std::string& path) const {
  const auto place = places_.find(path);
  return place == places_.end() ? path : place->second + ": " + path;
}

}  // namespace millrace
