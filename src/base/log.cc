#include "base/log.h"

#include <atomic>
#include <cctype>
#include <iterator>
#include <memory>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/time_text.h"

namespace millrace {
namespace {

std::atomic<LogFormat> format_now{LogFormat::text};
std::atomic<LogLevel> level_min_now{LogLevel::info};

std::string_view word_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
  }
  return "unknown";
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

spdlog::logger& logger() {
  // Never destroyed: threads and destructors may log until the very end of the process.
  static spdlog::logger* const instance = [] {
    auto* const made = new spdlog::logger("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::debug);
    made->flush_on(spdlog::level::debug);
    // Where standard error itself fails there is nowhere left to say so.
    made->set_error_handler([](const std::string&) {});
    return made;
  }();
  return *instance;
}

std::string json_string(std::string_view text) {
  // Bytes that are no UTF-8 become U+FFFD, so that a line is always valid JSON.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A finite number as std::to_string() writes it is a number in JSON; "nan" and "inf" are not.
bool is_json_number(const LogField& field) {
  return field.is_number && !field.value.empty() &&
         std::isdigit(static_cast<unsigned char>(field.value.back())) != 0;
}

std::string json_line(std::string_view time, LogLevel level, std::string_view event,
                      std::initializer_list<LogField> fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","event":{})", time, word_of(level),
                                 json_string(event));
  for (const LogField& field : fields) {
    line += ',';
    line += json_string(field.key);
    line += ':';
    line += is_json_number(field) ? field.value : json_string(field.value);
  }
  line += '}';
  return line;
}

// Appends `text` with every control character escaped: one event stays one line, and nothing in it
// can steer a terminal.
void append_escaped(std::string& line, std::string_view text, bool in_quotes) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "\\n";
    } else if (c == '\r') {
      line += "\\r";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
    } else {
      if (in_quotes && (c == '"' || c == '\\')) line += '\\';
      line += c;
    }
  }
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

std::string text_line(std::string_view time, LogLevel level, std::string_view event,
                      std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{} {:<5} ", time, word_of(level));
  append_escaped(line, event, false);
  for (const LogField& field : fields) {
    line += ' ';
    append_escaped(line, field.key, false);
    line += '=';
    const bool quote = needs_quotes(field.value);
    if (quote) line += '"';
    append_escaped(line, field.value, quote);
    if (quote) line += '"';
  }
  return line;
}

}  // namespace

void set_up_logging(LogFormat format, LogLevel level_min) {
  format_now = format;
  level_min_now = level_min;
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_min_now.load(std::memory_order_relaxed)) return;
  const std::string time = to_rfc3339(SystemClock().now());
  const std::string line = format_now.load(std::memory_order_relaxed) == LogFormat::json
                               ? json_line(time, level, event, fields)
                               : text_line(time, level, event, fields);
  logger().log(to_spdlog(level), spdlog::string_view_t(line));
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    if (text == word_of(level)) return level;
  }
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a log level (want debug, info, warn or error)", text));
}

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::text;
  if (text == "json") return LogFormat::json;
  return fail(Errc::invalid_argument,
              fmt::format("\"{}\" is not a log format (want text or json)", text));
}

}  // namespace millrace
