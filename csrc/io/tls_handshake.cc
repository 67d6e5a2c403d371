#include "io/tls_handshake.h"

#include <netdb.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "io/http_answer.h"

namespace naiad {
namespace {

// After a failure: what the client has sent meanwhile would make the kernel reset the connection, and the
// alert that tells it why would be lost.
constexpr std::uint64_t kLingerNs = 1'000'000'000;
constexpr int kMaxReads = 8;

std::string address_of_peer(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host{};
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (getpeername(fd, generic, &size) != 0) return "unknown";
  if (getnameinfo(generic, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "unknown";
  return host.data();
}

// As it is: there is no TLS to say it over.
void answer_plain_http(int fd) {
  AnswerFraming framing;
  framing.keep_alive = false;
  const Outgoing answer = make_error_answer(400, "plain HTTP was sent to a port of TLS: use https", framing);
  for (const WireMessage::Piece& piece : answer.message.pieces()) {
    const auto bytes = answer.message.bytes(piece);
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
}

}  // namespace

TlsHandshake::TlsHandshake(EventLoop& loop, OwnedFd socket, std::shared_ptr<const TlsContext> context,
                           std::uint64_t timeout_ns, Ended ended)
    : loop_(loop),
      context_(std::move(context)),
      ended_(std::move(ended)),
      timer_(loop, [this] { on_due(); }),
      transport_(std::make_unique<TlsTransport>(std::move(socket), context_)) {
  loop_.watch(transport_->fd(), EPOLLIN, *this);
  timer_.arm(timeout_ns);
}

TlsHandshake::~TlsHandshake() {
  if (transport_ != nullptr) loop_.forget(transport_->fd());
}

void TlsHandshake::on_events(std::uint32_t) {
  if (transport_ == nullptr) return;
  if (lingering_) {
    discard();
  } else {
    advance();
  }
}

void TlsHandshake::advance() {
  const Transport::Outcome outcome = transport_->handshake();
  if (outcome == Transport::Outcome::kMoved) return end(Outcome::kDone);
  if (outcome == Transport::Outcome::kWantRead || outcome == Transport::Outcome::kWantWrite) {
    const bool write = outcome == Transport::Outcome::kWantWrite;
    if (std::exchange(wants_write_, write) != write) {
      loop_.rewatch(transport_->fd(), write ? EPOLLOUT : EPOLLIN, *this);
    }
    return;
  }
  if (transport_->failure().empty()) return end(Outcome::kLeft);
  log(transport_->failure());
  linger();
}

void TlsHandshake::linger() {
  if (transport_->spoke_http() && context_->protocol() == TlsProtocol::kHttp1) {
    answer_plain_http(transport_->fd());
  }
  lingering_ = true;
  static_cast<void>(transport_->shut_sending());
  timer_.arm(kLingerNs);
  if (wants_write_) loop_.rewatch(transport_->fd(), EPOLLIN, *this);
  discard();
}

void TlsHandshake::discard() {
  std::array<std::byte, std::size_t{4} << 10> dropped{};
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t count = ::recv(transport_->fd(), dropped.data(), dropped.size(), 0);
    if (count > 0) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    return end(Outcome::kFailed);
  }
}

void TlsHandshake::on_due() {
  if (!lingering_) log("it was not finished in time");
  end(Outcome::kFailed);
}

void TlsHandshake::log(const std::string& why) const {
  if (!log_enabled(LogLevel::kVerbose)) return;
  log_verbose("TLS handshake with " + address_of_peer(transport_->fd()) + " failed: " + why);
}

void TlsHandshake::end(Outcome outcome) {
  timer_.disarm();
  loop_.forget(transport_->fd());
  std::unique_ptr<TlsTransport> transport = std::move(transport_);
  if (outcome != Outcome::kDone) transport.reset();
  ended_(*this, outcome, std::move(transport));
}

}  // namespace naiad
