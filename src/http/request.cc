#include <charconv>
#include <utility>

#include "http/server.h"
#include "http/target.h"

namespace millrace::http {

namespace {

// Percent-decodes; in queries '+' is a blank. A broken %XX stands for itself.
std::string decoded(std::string_view text, bool is_query) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned byte = 0;
    const char* digits = text.data() + at + 1;
    if (text[at] == '%' && at + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      at += 2;
    } else {
      out += is_query && text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

// The origin form of an absolute target ("http://host/path"), which proxies are sent.
std::string_view without_origin(std::string_view target) {
  const std::size_t scheme_end = target.find("://");
  if (target.starts_with('/') || scheme_end == std::string_view::npos) return target;
  const std::size_t begin = target.find_first_of("/?", scheme_end + 3);
  return begin == std::string_view::npos ? "/" : target.substr(begin);
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Responder::~Responder() {
  if (!target_) return;
  target_->respond(
      {.status = 500,
       .content_type = "application/json",
       .headers = {},
       .body = R"({"error":{"code":"internal","message":"the request was dropped"}})"});
}

void Responder::respond(Response response) {
  if (const auto target = std::exchange(target_, nullptr)) target->respond(std::move(response));
}

StopCheck Responder::client_check() const {
  return [target = target_] { return target && target->is_client_gone(); };
}

void set_target(Request& request, std::string_view target) {
  target = without_origin(target);
  const std::size_t question_mark = std::min(target.find('?'), target.size());
  request.path = decoded(target.substr(0, question_mark), false);
  if (request.path.empty()) request.path = "/";
  std::string_view rest = target.substr(std::min(question_mark + 1, target.size()));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view parameter = rest.substr(0, end);
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    if (!parameter.empty()) {
      request.query.emplace_back(
          decoded(parameter.substr(0, equals), true),
          decoded(parameter.substr(std::min(equals + 1, parameter.size())), true));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace millrace::http
