#include "analytics/web_page.h"

#include <algorithm>
#include <string>

#include "analytics/web_files.h"
#include "http/decompress.h"
#include "http/etag.h"

namespace millrace::analytics {

namespace {

// The page asks nobody but the server that it comes from, and runs nothing but its own file.
constexpr const char* content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view file_path(std::string_view path) { return path == "/" ? "/index.html" : path; }

const WebFile* find_file(std::string_view path) {
  const auto& files = web_files();
  const auto found = std::ranges::find_if(
      files, [&](const WebFile& file) { return file.path == file_path(path); });
  return found == files.end() ? nullptr : &*found;
}

std::string content_type(std::string_view path) {
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

// Not so where the client says "gzip;q=0".
bool takes_gzip(const http::Request& request) {
  const std::string_view accepted = request.header("accept-encoding").value_or("");
  const std::size_t at = accepted.find("gzip");
  return at != std::string_view::npos && !accepted.substr(at + 4).starts_with(";q=0");
}

std::string decompressed(const WebFile& file) {
  constexpr std::size_t size_bytes_max = 16 << 20;
  return http::decompress(std::string(file.gzip), "gzip",
                          {.size_bytes_max = size_bytes_max, .ratio_max = 1000})
      .value_or("");
}

}  // namespace

bool is_of_web_page(std::string_view path) { return find_file(path) != nullptr; }

std::optional<http::Response> web_page(const http::Request& request) {
  const WebFile* file = find_file(request.path);
  if (file == nullptr) return std::nullopt;
  const std::string etag = http::etag_of(file->gzip);
  http::Response response{.content_type = content_type(file->path)};
  response.headers = {{"ETag", etag},
                      {"Cache-Control", "no-cache"},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", content_policy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  if (http::has_already(request, etag)) {
    response.status = 304;
    response.content_type.clear();
  } else if (takes_gzip(request)) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = file->gzip;
  } else {
    response.body = decompressed(*file);
  }
  return response;
}

}  // namespace millrace::analytics
