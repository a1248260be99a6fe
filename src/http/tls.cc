#include "http/tls.h"

#include <fmt/format.h>

namespace millrace::http {

namespace ssl = boost::asio::ssl;

namespace {

// Clients that offer protocols (ALPN, RFC 7301) are told which one this is.
int select_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char http_1_1[] = "\x08http/1.1";
  const int found = SSL_select_next_proto(const_cast<unsigned char**>(chosen), chosen_size,
                                          http_1_1, sizeof http_1_1 - 1, offered, offered_size);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

tl::unexpected<Error> failure(const char* key, const std::string& file,
                              const boost::system::error_code& error) {
  return fail(Errc::invalid_argument, fmt::format("{}: {}: {}", key, file, error.message()));
}

}  // namespace

Result<std::shared_ptr<ssl::context>> open_tls_context(const std::string& certificate_file,
                                                       const std::string& key_file) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                       ssl::context::no_tlsv1_1 | ssl::context::no_compression);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), select_protocol, nullptr);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate_file, error);
  if (error) return failure("http.tls_certificate_file", certificate_file, error);
  // Also tells whether it belongs to the certificate.
  context->use_private_key_file(key_file, ssl::context::pem, error);
  if (error) return failure("http.tls_key_file", key_file, error);
  return context;
}

}  // namespace millrace::http
