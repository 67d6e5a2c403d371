#include "io/tls_transport.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/tls_pem.h"

namespace naiad {
namespace {

using Outcome = Transport::Outcome;

constexpr std::size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
// In one call: what the stream counts as one.
constexpr int kMaxRecords = 8;
constexpr std::size_t kMaxReadBytes = std::size_t{256} << 10;

// A walk over the pieces of a write.
class Pieces {
 public:
  explicit Pieces(std::span<const iovec> pieces) : pieces_(pieces) { skip(0); }

  bool empty() const { return pieces_.empty(); }
  std::span<const std::byte> front() const {
    const iovec& piece = pieces_.front();
    return std::span(static_cast<const std::byte*>(piece.iov_base), piece.iov_len).subspan(offset_);
  }
  void skip(std::size_t size_bytes) {
    offset_ += size_bytes;
    while (!pieces_.empty() && offset_ >= pieces_.front().iov_len) {
      offset_ -= pieces_.front().iov_len;
      pieces_ = pieces_.subspan(1);
    }
  }
  // As many bytes from the front as there are and fit. They stay.
  std::size_t copy_to(std::span<std::byte> to) const {
    std::size_t filled = 0;
    for (Pieces rest = *this; !rest.empty() && filled < to.size();) {
      const auto bytes = rest.front().first(std::min(rest.front().size(), to.size() - filled));
      std::memcpy(to.data() + filled, bytes.data(), bytes.size());
      filled += bytes.size();
      rest.skip(bytes.size());
    }
    return filled;
  }

 private:
  std::span<const iovec> pieces_;
  std::size_t offset_ = 0;  // in the first
};

}  // namespace

// OpenSSL's own BIO of a socket would raise SIGPIPE.
struct TlsTransport::Bio {
  static Socket& socket(BIO* bio) { return *static_cast<Socket*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, int size) noexcept {
    ssize_t count = 0;
    do {
      count = ::send(socket(bio).fd.get(), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
    return static_cast<int>(count);
  }

  static int read(BIO* bio, char* into, int size) noexcept {
    Socket& from = socket(bio);
    ssize_t count = 0;
    do {
      count = ::recv(from.fd.get(), into, static_cast<std::size_t>(size), 0);
    } while (count < 0 && errno == EINTR);
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
    if (count == 0) from.at_end = true;
    if (count > 0) from.received = true;
    return static_cast<int>(count);
  }

  static long control(BIO* bio, int command, long, void*) noexcept {
    if (command == BIO_CTRL_EOF) return socket(bio).at_end ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  // A table of functions, the same for all.
  static const BIO_METHOD* method() {
    static const std::unique_ptr<BIO_METHOD, OpensslFree<&BIO_meth_free>> made = [] {
      std::unique_ptr<BIO_METHOD, OpensslFree<&BIO_meth_free>> table(
          BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE"));
      if (table != nullptr) {
        BIO_meth_set_write(table.get(), write);
        BIO_meth_set_read(table.get(), read);
        BIO_meth_set_ctrl(table.get(), control);
      }
      return table;
    }();
    return made.get();
  }
};

void TlsTransport::Free::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

TlsTransport::TlsTransport(OwnedFd socket, std::shared_ptr<const TlsContext> context)
    : context_(std::move(context)), socket_{std::move(socket)}, ssl_(SSL_new(context_->get())) {
  BIO* const bio = Bio::method() != nullptr ? BIO_new(Bio::method()) : nullptr;
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    throw Error(Code::kUnavailable, "no memory for TLS");
  }
  BIO_set_data(bio, &socket_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes it over
  SSL_set_accept_state(ssl_.get());
}

TlsTransport::~TlsTransport() {
  // Behind a part of a record it would say that this was all.
  if (established_ && !record_begun_) static_cast<void>(say_goodbye());
  ERR_clear_error();
}

Outcome TlsTransport::outcome_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return Outcome::kMoved;
    case SSL_ERROR_WANT_READ:
      return Outcome::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Outcome::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnd;
    default:
      // Nothing may be asked of OpenSSL for this connection from now on.
      broken_ = true;
      return Outcome::kBroken;
  }
}

void TlsTransport::fail(std::string why) {
  broken_ = true;
  failure_ = std::move(why);
}

Outcome TlsTransport::handshake() {
  if (established_) return Outcome::kMoved;
  if (broken_) return Outcome::kBroken;
  ERR_clear_error();
  const Outcome outcome = outcome_of(SSL_do_handshake(ssl_.get()));
  if (outcome == Outcome::kWantRead || outcome == Outcome::kWantWrite) return outcome;
  if (outcome != Outcome::kMoved) {
    const unsigned long error = ERR_peek_last_error();
    spoke_http_ = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST;
    if (!socket_.received) {
      fail("");
    } else {
      const long verified = SSL_get_verify_result(ssl_.get());
      const std::string cause = verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified);
      fail((error == 0 ? "the connection broke" : openssl_reason()) + (cause.empty() ? "" : ": " + cause));
    }
    ERR_clear_error();
    return Outcome::kBroken;
  }
  established_ = true;
  const unsigned char* name = nullptr;
  unsigned size_bytes = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size_bytes);
  protocol_.assign(reinterpret_cast<const char*>(name), size_bytes);
  if (context_->protocol() == TlsProtocol::kGrpc && protocol_.empty()) {
    static_cast<void>(say_goodbye());
    fail("the client did not ask for HTTP/2 by ALPN");
    return Outcome::kBroken;
  }
  return Outcome::kMoved;
}

Transport::Moved TlsTransport::read(std::span<std::byte> into) {
  into = into.first(std::min(into.size(), kMaxReadBytes));
  std::size_t total = 0;
  while (!broken_ && total < into.size()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int result = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &count);
    if (result != 1) {
      const Outcome outcome = outcome_of(result);
      at_end_ = outcome == Outcome::kEnd;
      return total > 0 ? Moved{Outcome::kMoved, total} : Moved{outcome};
    }
    total += count;
    if (SSL_has_pending(ssl_.get()) != 1) break;
  }
  return total > 0 ? Moved{Outcome::kMoved, total} : Moved{Outcome::kBroken};
}

bool TlsTransport::may_hold_input() const {
  // An end that was found behind bytes that were moved is to be told too.
  return broken_ || at_end_ || SSL_has_pending(ssl_.get()) == 1;
}

Transport::Moved TlsTransport::write(std::span<const iovec> pieces) {
  std::size_t total = 0;
  std::array<std::byte, kRecordBytes> gathered;  // NOLINT(*-member-init): filled before it is read
  Pieces rest(pieces);
  for (int records = 0; records < kMaxRecords && !rest.empty(); ++records) {
    // A record that is begun has to be asked for again with at least as many bytes. It is: the same pieces
    // are in front, so that the same is chosen here, with perhaps more behind it.
    const auto front = rest.front();
    const auto bytes = front.size() >= kRecordBytes
                           ? front.first(kRecordBytes)
                           : std::span<const std::byte>(gathered).first(rest.copy_to(gathered));
    const Moved moved = write_record(bytes);
    if (moved.outcome != Outcome::kMoved) return total > 0 ? Moved{Outcome::kMoved, total} : moved;
    total += moved.size_bytes;
    rest.skip(moved.size_bytes);
  }
  return {Outcome::kMoved, total};
}

Transport::Moved TlsTransport::write_record(std::span<const std::byte> bytes) {
  if (broken_) return {Outcome::kBroken};
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
  if (result == 1) {
    record_begun_ = false;
    return {Outcome::kMoved, count};
  }
  const Outcome outcome = outcome_of(result);
  record_begun_ = outcome == Outcome::kWantWrite;
  return {outcome};
}

// Sends close_notify, once.
Outcome TlsTransport::say_goodbye() {
  if (broken_ || said_goodbye_) return Outcome::kMoved;
  ERR_clear_error();
  const int result = SSL_shutdown(ssl_.get());
  // 0: the other side has not said it yet. That is not waited for.
  if (result < 0 && outcome_of(result) == Outcome::kWantWrite) return Outcome::kWantWrite;
  said_goodbye_ = true;
  return Outcome::kMoved;
}

Outcome TlsTransport::shut_sending() {
  if (say_goodbye() == Outcome::kWantWrite) return Outcome::kWantWrite;
  return Transport::shut_sending();
}

}  // namespace naiad
