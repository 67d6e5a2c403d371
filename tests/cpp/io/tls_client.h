#pragma once

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tls_certificates.h"

namespace naiad::test {

struct TlsClientOptions {
  std::optional<TlsIdentity> root = std::nullopt;  // whom it trusts; without one it trusts everybody
  std::optional<TlsIdentity> identity = std::nullopt;
  std::string alpn = {};  // protocols, comma between them
  int version = 0;        // the only one; 0: any
};

// The client's side of TLS without a socket: bytes in, bytes out, so that a test can cut them anywhere.
class TlsClient {
 public:
  explicit TlsClient(const TlsClientOptions& options = {}) : context_(SSL_CTX_new(TLS_client_method())) {
    REQUIRE(context_ != nullptr);
    // Old versions are asked for to see them refused.
    SSL_CTX_set_security_level(context_.get(), options.version == 0 ? 2 : 0);
    if (options.version != 0) {
      SSL_CTX_set_min_proto_version(context_.get(), options.version);
      SSL_CTX_set_max_proto_version(context_.get(), options.version);
    }
    if (options.root) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), options.root->certificate.get());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (options.identity) {
      REQUIRE(SSL_CTX_use_certificate(context_.get(), options.identity->certificate.get()) == 1);
      REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), options.identity->key.get()) == 1);
    }
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    set_alpn(options.alpn);
    SSL_set_connect_state(ssl_.get());
  }

  // Goes on with the handshake. True when it is done.
  bool shake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result != 1) note(result);
    return result == 1;
  }
  // Does nothing when the server has refused the client meanwhile.
  void write(std::string_view bytes) {
    if (bytes.empty()) return;
    ERR_clear_error();
    const int result = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (result <= 0) note(result);
    CHECK((result == static_cast<int>(bytes.size()) || !failure_.empty()));
  }
  // All that can be read.
  std::string read() {
    std::string got;
    std::array<char, 16384> some;
    int count = 0;
    ERR_clear_error();
    while ((count = SSL_read(ssl_.get(), some.data(), some.size())) > 0) {
      got.append(some.data(), static_cast<std::size_t>(count));
    }
    note(count);
    return got;
  }
  void say_goodbye() { SSL_shutdown(ssl_.get()); }

  // Bytes for the server, and from it.
  std::string take_outgoing() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    std::string bytes(data, static_cast<std::size_t>(size));
    static_cast<void>(BIO_reset(out_));
    return bytes;
  }
  void give(std::string_view bytes) {
    if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }
  void give_end() { BIO_set_mem_eof_return(in_, 0); }

  // The server has said goodbye (close_notify).
  bool at_end() const { return at_end_; }
  // Why it has failed; empty while it has not.
  const std::string& failure() const { return failure_; }
  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  // Of the server's certificate.
  std::string server_name() const {
    std::array<char, 100> name{};
    const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr) return {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(), name.size());
    return name.data();
  }
  SSL* ssl() const { return ssl_.get(); }

 private:
  void set_alpn(std::string_view names) {
    std::string wire;
    while (!names.empty()) {
      const std::size_t comma = std::min(names.find(','), names.size());
      wire += static_cast<char>(comma);
      wire += names.substr(0, comma);
      names.remove_prefix(std::min(comma + 1, names.size()));
    }
    if (wire.empty()) return;
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  void note(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) at_end_ = true;
    if ((error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) && failure_.empty())
      failure_ = openssl_reason();
  }

  std::unique_ptr<SSL_CTX, OpensslFree<&SSL_CTX_free>> context_;
  std::unique_ptr<SSL, OpensslFree<&SSL_free>> ssl_;
  BIO* in_ = nullptr;  // of ssl_
  BIO* out_ = nullptr;
  bool at_end_ = false;
  std::string failure_;
};

}  // namespace naiad::test
