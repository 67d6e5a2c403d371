#include "io/tls_pem.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/listener.h"

namespace naiad {
namespace {

// A bundle of all public roots has a quarter of that.
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

using Bio = std::unique_ptr<BIO, OpensslFree<&BIO_free>>;

// OpenSSL would ask on the terminal. `asked` is told instead.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Bio reader_of(const std::vector<unsigned char>& bytes) {
  ERR_clear_error();
  // Of an empty vector there may be no address.
  const void* const data = bytes.empty() ? "" : static_cast<const void*>(bytes.data());
  Bio bio(BIO_new_mem_buf(data, static_cast<int>(bytes.size())));
  if (!bio) throw Error(Code::kUnavailable, "no memory for TLS");
  return bio;
}

bool at_end_of_pem() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

}  // namespace

std::string openssl_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != nullptr ? reason : "unknown error";
}

PemFile::PemFile(std::string what, std::string path) : what_(std::move(what)), path_(std::move(path)) {
  // Not blocking: a FIFO without a writer must not hold up a server.
  const OwnedFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0) refuse(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) refuse("not a regular file");
  if (static_cast<std::size_t>(status.st_size) > kMaxFileBytes) refuse("larger than 1 MiB");
  // Never more than this: what a growing vector leaves behind would not be wiped.
  bytes_.resize(static_cast<std::size_t>(status.st_size));
  std::size_t filled = 0;
  while (filled < bytes_.size()) {
    const ssize_t count = ::read(fd.get(), bytes_.data() + filled, bytes_.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(std::strerror(errno));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes_.resize(filled);
}

PemFile::~PemFile() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

void PemFile::refuse(const std::string& why) const {
  throw Error(Code::kInvalidArgument, "the " + what_ + " '" + path_ + "' cannot be used: " + why);
}

std::vector<Certificate> PemFile::certificates() const {
  const Bio bio = reader_of(bytes_);
  std::vector<Certificate> found;
  bool asked = false;
  while (Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, &asked)}) {
    found.push_back(std::move(certificate));
  }
  if (!at_end_of_pem()) refuse("not a certificate in PEM: " + openssl_reason());
  if (found.empty()) refuse("no certificate in PEM is in it");
  ERR_clear_error();
  return found;
}

PrivateKey PemFile::private_key() const {
  const Bio bio = reader_of(bytes_);
  bool asked = false;
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, &asked));
  if (asked) refuse("it is encrypted, and a passphrase is not supported");
  if (!key) refuse("no private key in PEM is in it");
  ERR_clear_error();
  return key;
}

}  // namespace naiad
