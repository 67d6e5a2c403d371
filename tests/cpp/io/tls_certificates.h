#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "io/tls_context.h"
#include "io/tls_pem.h"

namespace naiad::test {

// A certificate with its key. Copies share them.
struct TlsIdentity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;
};

struct TlsIdentityOptions {
  const TlsIdentity* issuer = nullptr;  // null: signs itself
  bool authority = false;
  long valid_from_s = -3600;  // from now
  long valid_to_s = 3600;
  int rsa_bits = 0;  // 0: an elliptic curve
};

inline TlsIdentity make_identity(const std::string& name, const TlsIdentityOptions& options = {}) {
  static long serial = 0;
  TlsIdentity made;
  EVP_PKEY* const key =
      options.rsa_bits == 0 ? EVP_EC_gen("P-256") : EVP_RSA_gen(static_cast<unsigned>(options.rsa_bits));
  made.key.reset(key, EVP_PKEY_free);
  made.certificate.reset(X509_new(), X509_free);
  X509* const x509 = made.certificate.get();
  REQUIRE(key != nullptr);
  REQUIRE(x509 != nullptr);
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), options.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(x509), options.valid_to_s);
  X509_set_pubkey(x509, key);
  X509_NAME* const subject = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(name.size()), -1, 0);
  const TlsIdentity& issuer = options.issuer != nullptr ? *options.issuer : made;
  X509_set_issuer_name(x509, X509_get_subject_name(issuer.certificate.get()));
  if (options.authority) {
    X509_EXTENSION* const extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  REQUIRE(X509_sign(x509, issuer.key.get(), EVP_sha256()) > 0);
  return made;
}

template <class Write>
std::string pem_text(Write write) {
  const std::unique_ptr<BIO, OpensslFree<&BIO_free>> bio(BIO_new(BIO_s_mem()));
  REQUIRE(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

inline std::string certificate_pem(const TlsIdentity& identity) {
  return pem_text([&](BIO* bio) { return PEM_write_bio_X509(bio, identity.certificate.get()); });
}

inline std::string key_pem(const TlsIdentity& identity, const char* passphrase = nullptr) {
  return pem_text([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(
        bio, identity.key.get(), passphrase != nullptr ? EVP_aes_128_cbc() : nullptr, passphrase,
        passphrase != nullptr ? static_cast<int>(std::string(passphrase).size()) : 0, nullptr, nullptr);
  });
}

// A folder of its own for the files of one test.
class TlsFolder {
 public:
  TlsFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "naiad-tls-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TlsFolder() { std::filesystem::remove_all(path_); }
  TlsFolder(const TlsFolder&) = delete;
  TlsFolder& operator=(const TlsFolder&) = delete;

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  std::string path(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// The files of a server, and who signed it.
struct TlsTestFiles {
  explicit TlsTestFiles(bool mutual = false) {
    replace("server");
    if (mutual) files.client_roots = folder.write("roots.pem", certificate_pem(root));
  }
  // A new certificate of the server, under this name.
  void replace(const std::string& name) {
    const TlsIdentity server = make_identity(name, {.issuer = &root});
    files.certificate_chain = folder.write("server.pem", certificate_pem(server));
    files.key = folder.write("server.key", key_pem(server));
  }
  TlsIdentity client(const std::string& name = "client") const {
    return make_identity(name, {.issuer = &root});
  }

  TlsFolder folder;
  TlsIdentity root = make_identity("root", {.authority = true});
  TlsFiles files;
};

}  // namespace naiad::test
