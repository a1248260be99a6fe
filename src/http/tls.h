#pragma once

#include <boost/asio/ssl.hpp>
#include <memory>
#include <string>

#include "base/result.h"

// For this folder only.
namespace millrace::http {

// What a server shows its clients: a certificate with those that vouch for it, and its key, as PEM
// files. TLS 1.2 and 1.3, with OpenSSL's own choice of ciphers.
// Errors: invalid_argument, naming the file and what is wrong with it.
Result<std::shared_ptr<boost::asio::ssl::context>> open_tls_context(
    const std::string& certificate_file, const std::string& key_file);

}  // namespace millrace::http
