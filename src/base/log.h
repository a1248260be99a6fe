#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

enum class LogLevel { debug, info, warn, error };
enum class LogFormat { text, json };

// One key of a log line with its value. Values are written as they are: never put a secret, or a
// client's payload, into one.
struct LogField {
  std::string_view key;
  std::string value;
  bool is_number = false;

  LogField(std::string_view key_, std::string_view value_) : key(key_), value(value_) {}
  LogField(std::string_view key_, const char* value_) : key(key_), value(value_) {}
  LogField(std::string_view key_, const std::string& value_) : key(key_), value(value_) {}
  template <typename Number>
    requires std::integral<Number> || std::floating_point<Number>
  LogField(std::string_view key_, Number number)
      : key(key_), value(std::to_string(number)), is_number(true) {}
};

// Sets what is written to standard error from now on. Thread-safe.
void set_up_logging(LogFormat format, LogLevel level_min);

// Writes one line: an event in the past tense, once, where it is handled. For example
// `log(LogLevel::info, "writer: committed a flush", {{"version", 3}, {"records", 1000}})`.
// Thread-safe.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// Errors: invalid_argument, naming the accepted words.
Result<LogLevel> parse_log_level(std::string_view text);
Result<LogFormat> parse_log_format(std::string_view text);

}  // namespace millrace
