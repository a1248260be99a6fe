#include "http/response_text.h"

#include <fmt/format.h>

#include <array>
#include <boost/beast/http/status.hpp>
#include <ctime>

namespace millrace::http {

namespace {

// The time in the form of RFC 9110, section 5.6.7. Made once a second.
const std::string& http_date() {
  static thread_local std::time_t made_at = -1;
  static thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now == made_at) return text;
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> bytes{};
  const std::size_t size =
      std::strftime(bytes.data(), bytes.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  text.assign(bytes.data(), size);
  made_at = now;
  return text;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

void append_response(std::string& out, const Response& response, const Headers& more,
                     ResponseForm form) {
  namespace wire = boost::beast::http;
  const auto reason = wire::obsolete_reason(static_cast<wire::status>(response.status));
  out.append(form.is_version_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ");
  out.append(fmt::format_int(response.status).c_str()).append(" ");
  out.append(reason.data(), reason.size()).append("\r\n");
  append_header(out, "Server", "millrace");
  append_header(out, "Date", http_date());
  if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) append_header(out, name, value);
  for (const auto& [name, value] : more) append_header(out, name, value);
  if (!form.keeps_alive) append_header(out, "Connection", "close");
  if (form.keeps_alive && form.is_version_1_0) append_header(out, "Connection", "keep-alive");
  // A 304 would have to say the length that the body has (RFC 9110, section 8.6).
  if (response.status != 204 && response.status != 304) {
    append_header(out, "Content-Length", fmt::format_int(response.body.size()).c_str());
  }
  out += "\r\n";
  if (!form.is_head) out += response.body;
}

}  // namespace millrace::http
