#include "io/tls_context.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "io/tls_pem.h"

namespace naiad {
namespace {

// Of TLS 1.2, those with forward secrecy that authenticate what they encrypt: what HTTP/2 asks for (RFC 9113,
// section 9.2.2). Those of TLS 1.3 are all so.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

void check(bool done) {
  if (!done) throw Error(Code::kUnavailable, "cannot set up TLS: " + openssl_reason());
}

std::string_view alpn_of(TlsProtocol protocol) {
  return protocol == TlsProtocol::kGrpc ? "h2" : "http/1.1";
}

// A client that names protocols and not ours is refused: what it speaks next would not be understood.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes,
                    const unsigned char* offered, unsigned int offered_bytes, void* argument) {
  const std::string_view ours = alpn_of(static_cast<const TlsContext*>(argument)->protocol());
  for (unsigned int at = 0; at < offered_bytes; at += 1U + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
    if (name != ours) continue;
    *chosen = offered + at + 1;
    *chosen_bytes = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void set_rules(SSL_CTX* context, TlsProtocol protocol) {
  // The system may ask for more.
  const int least = std::max<int>(TLS1_2_VERSION, static_cast<int>(SSL_CTX_get_min_proto_version(context)));
  check(SSL_CTX_set_min_proto_version(context, least) == 1);
  check(SSL_CTX_set_cipher_list(context, kCiphers) == 1);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Tickets carry what a session needs, the server keeps nothing. A ticket is worth nothing after a reload,
  // nor on the other port.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const std::string_view name = alpn_of(protocol);
  check(SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(name.data()),
                                       static_cast<unsigned>(name.size())) == 1);
  // An idle connection holds no buffers; a write that is tried again may find its bytes elsewhere.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // One system call for a record instead of one for its head and one for its body.
  SSL_CTX_set_read_ahead(context, 1);
}

void use_certificate(SSL_CTX* context, const PemFile& chain_file, const PemFile& key_file) {
  std::vector<Certificate> chain = chain_file.certificates();
  const PrivateKey key = key_file.private_key();
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    key_file.refuse("it does not match the certificate");
  }
  // What OpenSSL itself refuses, such as a key that is too short.
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) chain_file.refuse(openssl_reason());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) key_file.refuse(openssl_reason());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) chain_file.refuse(openssl_reason());
  }
  if (X509_cmp_current_time(X509_get0_notAfter(chain.front().get())) < 0) {
    log_warning("the certificate of the server has expired");
  } else if (X509_cmp_current_time(X509_get0_notBefore(chain.front().get())) > 0) {
    log_warning("the certificate of the server is not valid yet");
  }
}

void require_client_certificates(SSL_CTX* context, const PemFile& roots_file) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const Certificate& root : roots_file.certificates()) {
    if (X509_STORE_add_cert(store, root.get()) != 1 || SSL_CTX_add_client_CA(context, root.get()) != 1) {
      roots_file.refuse(openssl_reason());
    }
  }
  // One that is not its own root is trusted as well: it was named.
  check(X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

// Of the digests of the files, so that no byte can pass from one to the next unseen.
TlsContext::Digest digest_of(const std::vector<const PemFile*>& files) {
  std::vector<unsigned char> digests;
  TlsContext::Digest digest{};
  const auto append = [&](const std::vector<unsigned char>& bytes) {
    check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
    digests.insert(digests.end(), digest.begin(), digest.end());
  };
  for (const PemFile* file : files) append(file->bytes());
  append(digests);
  return digest;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

TlsContext::TlsContext(const TlsFiles& files, TlsProtocol protocol)
    : protocol_(protocol), context_(SSL_CTX_new(TLS_server_method())) {
  check(context_ != nullptr);
  const PemFile chain("certificate chain", files.certificate_chain);
  const PemFile key("private key", files.key);
  std::vector<const PemFile*> all = {&chain, &key};
  std::optional<PemFile> roots;
  set_rules(context_.get(), protocol);
  SSL_CTX_set_alpn_select_cb(context_.get(), choose_protocol, this);
  use_certificate(context_.get(), chain, key);
  if (!files.client_roots.empty()) {
    all.push_back(&roots.emplace("list of client roots", files.client_roots));
    require_client_certificates(context_.get(), *roots);
  }
  digest_ = digest_of(all);
  ERR_clear_error();
}

TlsCredentials::TlsCredentials(TlsFiles files, TlsProtocol protocol)
    : files_(std::move(files)), context_(std::make_shared<const TlsContext>(files_, protocol)) {}

std::shared_ptr<const TlsContext> TlsCredentials::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

bool TlsCredentials::reload() {
  const std::shared_ptr<const TlsContext> before = context();
  auto fresh = std::make_shared<const TlsContext>(files_, before->protocol());
  if (fresh->digest() == before->digest()) return false;
  const std::lock_guard lock(mutex_);
  context_ = std::move(fresh);
  return true;
}

}  // namespace naiad
