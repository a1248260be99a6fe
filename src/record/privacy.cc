#include "record/privacy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace millrace::record {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

// May stand in an IPv6 address.
constexpr bool is_address_byte(char c) { return hex_value(c) >= 0 || c == ':' || c == '.'; }

struct Ipv4 {
  std::size_t size = 0;       // 0: there is none.
  std::size_t kept_size = 0;  // Of the first three parts, with their dots.
};

// The IPv4 address at the front of `text`, leading zeros allowed.
Ipv4 ipv4_at(std::string_view text) {
  Ipv4 address;
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (at == text.size() || text[at] != '.') return {};
      ++at;
    }
    address.kept_size = at;
    int value = 0;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      if (at == address.kept_size + 3) return {};
      value = value * 10 + (text[at] - '0');
    }
    if (at == address.kept_size || value > 255) return {};
  }
  address.size = at;
  return address;
}

std::optional<std::string> truncated_ipv6(std::string_view text) {
  using Bytes = std::array<unsigned char, 16>;
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size()) return std::nullopt;
  std::copy(text.begin(), text.end(), buffer.begin());
  Bytes bytes{};
  if (inet_pton(AF_INET6, buffer.data(), bytes.data()) != 1) return std::nullopt;

  constexpr Bytes mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::size_t mapped_size = 12;
  const bool is_v4 = std::equal(mapped.begin(), mapped.begin() + mapped_size, bytes.begin());
  // The first 48 bits of a 6to4 address are 2002 and all of an IPv4 address.
  const bool is_6to4 = bytes[0] == 0x20 && bytes[1] == 0x02;
  const std::size_t kept = is_v4 ? mapped_size + 3 : is_6to4 ? 5 : 6;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(kept), bytes.end(),
            static_cast<unsigned char>(0));
  inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes.data() + (is_v4 ? mapped_size : 0), buffer.data(),
            buffer.size());
  return buffer.data();
}

// The longest IPv6 address at the front of `run`, truncated, and `run` cut to it: what follows may
// be a port or the end of a sentence. What ends in ':' is none: names have "::" in many languages.
std::optional<std::string> take_ipv6(std::string_view& run) {
  std::string_view candidate = run.substr(0, INET6_ADDRSTRLEN);
  while (std::count(candidate.begin(), candidate.end(), ':') >= 2) {
    auto address = candidate.ends_with(':') ? std::nullopt : truncated_ipv6(candidate);
    if (address) {
      run = candidate;
      return address;
    }
    candidate = candidate.substr(0, candidate.find_last_of(":."));
  }
  return std::nullopt;
}

// Appends `run` with its IPv4 addresses truncated; false: it holds none.
bool append_truncated_ipv4(std::string& out, std::string_view run) {
  const auto is_within_number = [run](std::size_t at) {
    return at > 0 &&
           (is_digit(run[at - 1]) || (at > 1 && run[at - 1] == '.' && is_digit(run[at - 2])));
  };
  std::size_t copied = 0;
  for (std::size_t at = 0; at < run.size();) {
    const Ipv4 address = is_within_number(at) ? Ipv4{} : ipv4_at(run.substr(at));
    if (address.size == 0) {
      ++at;
      continue;
    }
    out.append(run.substr(copied, at + address.kept_size - copied)).append("0");
    at += address.size;
    copied = at;
  }
  out += run.substr(copied);
  return copied > 0;
}

// The same for addresses of both kinds, where `run` holds nothing but bytes of addresses.
bool append_truncated(std::string& out, std::string_view run) {
  bool is_found = false;
  while (true) {
    if (run.starts_with(':') && !run.starts_with("::")) {
      out += ':';
      run.remove_prefix(1);
    }
    std::string_view address = run;
    const auto truncated = take_ipv6(address);
    if (!truncated) break;
    out += *truncated;
    run.remove_prefix(address.size());
    is_found = true;
  }
  return append_truncated_ipv4(out, run) || is_found;
}

// Names that end so, once all but letters and digits is taken out, tell the client's address.
constexpr std::string_view address_name_ends[] = {
    "clientip",        "clientipaddress",  "clientaddress",   "clientaddr",
    "clienthost",      "clientport",       "cliip",           "remoteip",
    "remoteaddress",   "remoteaddr",       "remotehost",      "forwardedfor",
    "realip",          "connectingip",     "connectingipv6",  "pseudoipv4",
    "peerip",          "peeraddress",      "peeraddr",        "sourceip",
    "sourceaddr",      "sourceaddress",    "sourceipaddress", "srcip",
    "userip",          "visitorip",        "viewerip",        "vieweraddress",
    "originatingip",   "externaladdress",  "ipaddress",       "ipaddr",
    "headerforwarded", "headersforwarded", "httpforwarded"};
// Names that are so as a whole.
constexpr std::string_view address_names[] = {"ip", "cip", "fwd", "forwarded"};

bool is_address_name(std::string_view name) {
  constexpr std::size_t name_size_max = 128;
  if (name.size() > name_size_max) return false;
  std::array<char, name_size_max> folded{};
  std::size_t size = 0;
  for (const char c : name) {
    if (is_letter(c) || is_digit(c)) folded[size++] = lower(c);
  }
  const std::string_view text(folded.data(), size);
  return std::any_of(std::begin(address_name_ends), std::end(address_name_ends),
                     [text](std::string_view end) { return text.ends_with(end); }) ||
         std::find(std::begin(address_names), std::end(address_names), text) !=
             std::end(address_names);
}

bool is_json_named_for_client(std::string_view json) {
  for (std::size_t quote = json.find('"'); quote < json.size();) {
    std::size_t end = quote + 1;
    while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
    end = std::min(end, json.size());
    if (is_address_name(json.substr(quote + 1, end - quote - 1))) return true;
    quote = json.find('"', end + 1);
  }
  return false;
}

// Whether a parameter's name is `secret`, ignoring case and percent-encoding.
bool is_named(std::string_view name, std::string_view secret) {
  std::size_t at = 0;
  for (const char wanted : secret) {
    if (at == name.size()) return false;
    char c = name[at++];
    if (c == '%' && at + 1 < name.size() && hex_value(name[at]) >= 0 &&
        hex_value(name[at + 1]) >= 0) {
      c = static_cast<char>(hex_value(name[at]) * 16 + hex_value(name[at + 1]));
      at += 2;
    }
    if (lower(c) != lower(wanted)) return false;
  }
  // PHP and others take "token[]" for a list of tokens.
  const std::string_view rest = name.substr(at);
  return rest.empty() || rest.starts_with('[') || rest.starts_with("%5B") ||
         rest.starts_with("%5b");
}

// Where a value ends that ends at one of `ends`. A quote that JSON text escapes keeps its escape.
std::size_t value_end(std::string_view text, std::size_t begin, std::string_view ends) {
  const std::size_t end = std::min(text.find_first_of(ends, begin), text.size());
  if (end == text.size() || text[end] != '"') return end;
  std::size_t backslashes = 0;
  while (end - backslashes > begin && text[end - backslashes - 1] == '\\') ++backslashes;
  return end - backslashes % 2;
}

std::optional<std::string> redacted(std::string_view text, const std::vector<std::string>& secrets,
                                    std::string_view value_ends) {
  constexpr std::string_view separators = "?&;#=,{( \t\r\n\"'\\";
  std::string out;
  std::size_t copied = 0;
  std::size_t begin = 0;
  for (std::size_t equals = text.find('='); equals != std::string_view::npos;
       equals = text.find('=', begin)) {
    std::string_view name = text.substr(begin, equals - begin);
    name.remove_prefix(name.find_last_of(separators) + 1);
    begin = equals + 1;
    const bool is_secret =
        std::any_of(secrets.begin(), secrets.end(),
                    [name](const std::string& secret) { return is_named(name, secret); });
    if (!is_secret) continue;
    out += text.substr(copied, begin - copied);
    out += "REDACTED";
    begin = copied = value_end(text, begin, value_ends);
  }
  if (copied == 0) return std::nullopt;
  return out.append(text.substr(copied));
}

}  // namespace

std::string_view setting_against_payloads(const DecoderOptions& options) {
  if (options.client_ip != ClientIpPrivacy::keep) return "privacy.client_ip";
  if (!options.redacted_query_parameters.empty()) return "privacy.redact_query_parameters";
  return {};
}

std::optional<std::string> truncated_address(std::string_view text) {
  if (const Ipv4 v4 = ipv4_at(text); v4.size > 0 && v4.size == text.size()) {
    return std::string(text.substr(0, v4.kept_size)) + "0";
  }
  return truncated_ipv6(text);
}

std::optional<std::string> with_truncated_addresses(std::string_view text) {
  std::string out;
  bool is_found = false;
  while (!text.empty()) {
    const auto begin = std::find_if(text.begin(), text.end(), is_address_byte);
    const auto end = std::find_if_not(begin, text.end(), is_address_byte);
    out.append(text.begin(), begin);
    is_found |= append_truncated(out, {begin, end});
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
  }
  if (!is_found) return std::nullopt;
  return out;
}

bool is_named_for_client(std::string_view name, std::string_view text) {
  if (is_address_name(name)) return true;
  return (text.starts_with('{') || text.starts_with('[')) && is_json_named_for_client(text);
}

std::optional<std::string> redacted_query(std::string_view query,
                                          const std::vector<std::string>& secrets) {
  return redacted(query, secrets, "&");
}

std::optional<std::string> redacted_text(std::string_view text,
                                         const std::vector<std::string>& secrets) {
  return redacted(text, secrets, "& \t\r\n\"");
}

std::string_view host_without_user(std::string_view authority) {
  return authority.substr(authority.rfind('@') + 1);
}

std::optional<std::string> url_without_user(std::string_view url) {
  // "//user@host/path" is a reference without a scheme (RFC 3986, section 4.2).
  if (url.starts_with("//")) {
    const std::string_view rest = url.substr(2);
    const std::size_t size = std::min(rest.find_first_of("/?#"), rest.size());
    if (rest.substr(0, size).find('@') == std::string_view::npos) return std::nullopt;
    return "//" + std::string(host_without_user(rest.substr(0, size))).append(rest.substr(size));
  }
  const auto parts = split_url(url);
  if (!parts || parts->authority.find('@') == std::string_view::npos) return std::nullopt;
  std::string out(parts->scheme);
  return out.append(host_without_user(parts->authority)).append(parts->target);
}

std::optional<SplitUrl> split_url(std::string_view text) {
  constexpr std::string_view mark = "://";
  std::size_t size = 0;
  while (size < text.size() && (is_letter(text[size]) || is_digit(text[size]) ||
                                text[size] == '+' || text[size] == '-' || text[size] == '.')) {
    ++size;
  }
  if (size == 0 || !is_letter(text[0]) || !text.substr(size).starts_with(mark)) {
    return std::nullopt;
  }
  const std::string_view rest = text.substr(size + mark.size());
  const std::size_t authority_size = std::min(rest.find_first_of("/?#"), rest.size());
  return SplitUrl{text.substr(0, size + mark.size()), rest.substr(0, authority_size),
                  rest.substr(authority_size)};
}

}  // namespace millrace::record
