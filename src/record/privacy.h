#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/decoder.h"

namespace millrace::record {

// What must not be stored, by the privacy settings and without any. All functions are pure.

// The setting because of which nothing may be kept as it came of a record that was refused, since
// nobody has looked for secrets in it: "privacy.client_ip". Empty: it may.
std::string_view setting_against_payloads(const DecoderOptions& options);

// "198.51.100.7" and "::ffff:198.51.100.7" -> "198.51.100.0", "2001:db8:1:2::3" -> "2001:db8:1::";
// nullopt: not an address.
std::optional<std::string> truncated_address(std::string_view text);

// `text` with every address in it truncated: "for=192.0.2.7:80" -> "for=192.0.2.0:80"; nullopt:
// there is none.
std::optional<std::string> with_truncated_addresses(std::string_view text);

// Whether an attribute tells the client's address by its name, as "X-Forwarded-For" does, or, where
// it is JSON text, by a string in it that is such a name.
bool is_named_for_client(std::string_view name, std::string_view text);

// A query with "REDACTED" for the values of the parameters `secrets`: "a=1&token=s" ->
// "a=1&token=REDACTED". Names are compared ignoring case and percent-encoding. nullopt: none of
// them is there.
std::optional<std::string> redacted_query(std::string_view query,
                                          const std::vector<std::string>& secrets);

// The same for what may stand anywhere in a text, such as a URL: a value ends at a blank or a quote
// as well.
std::optional<std::string> redacted_text(std::string_view text,
                                         const std::vector<std::string>& secrets);

// "user:password@host:80" -> "host:80".
std::string_view host_without_user(std::string_view authority);

// "https://user:password@host/a" -> "https://host/a"; nullopt: there is no user in it.
std::optional<std::string> url_without_user(std::string_view url);

// The authority of a URL and what is behind it; nullopt: `text` does not begin with a scheme.
struct SplitUrl {
  std::string_view scheme;     // With its "://".
  std::string_view authority;  // May name a user.
  std::string_view target;     // Empty, or from '/', '?' or '#' on.
};
std::optional<SplitUrl> split_url(std::string_view text);

}  // namespace millrace::record
