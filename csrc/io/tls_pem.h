#pragma once

#include <openssl/evp.h>
#include <openssl/types.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace naiad {

template <auto free_function>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};

using Certificate = std::unique_ptr<X509, OpensslFree<&X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, OpensslFree<&EVP_PKEY_free>>;

// A file of certificates or of a key, read whole. Its bytes are wiped when it goes.
class PemFile {
 public:
  // `what` it is, for errors: "certificate chain". Throws Error(kInvalidArgument) when it cannot be read or
  // is no file of a fitting size. Blocks. Any thread, as all of it.
  PemFile(std::string what, std::string path);
  ~PemFile();
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;

  const std::vector<unsigned char>& bytes() const { return bytes_; }
  // All certificates in it, in their order; at least one. Throws Error(kInvalidArgument).
  std::vector<Certificate> certificates() const;
  // Throws Error(kInvalidArgument), also for a key that needs a passphrase.
  PrivateKey private_key() const;

  // Throws Error(kInvalidArgument): the file, and what is wrong with it.
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  const std::string what_;
  const std::string path_;
  std::vector<unsigned char> bytes_;
};

// The reason of OpenSSL's last error on this thread, which is none of the bytes that it was about.
std::string openssl_reason();

}  // namespace naiad
