#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "io/event_loop.h"
#include "io/tls_transport.h"

namespace naiad {

// Takes one new connection through its TLS handshake, before there is a session. A client with which it fails
// is told why and closed without a word in the log but a verbose one. I/O thread.
class TlsHandshake final : private EventLoop::Watcher {
 public:
  enum class Outcome : unsigned char {
    kDone,
    kFailed,
    kLeft,  // the client closed before it had sent a byte, as those do that only look whether a port is open
  };
  // Called once; with the transport when it is done. Perhaps from within a call of the loop: the handshake
  // must not be destroyed before that has returned (EventLoop::post).
  using Ended = std::function<void(TlsHandshake&, Outcome, std::unique_ptr<Transport>)>;

  // The connection is `socket`. It has `timeout_ns` for all of the handshake. Throws Error(kUnavailable).
  TlsHandshake(EventLoop& loop, OwnedFd socket, std::shared_ptr<const TlsContext> context,
               std::uint64_t timeout_ns, Ended ended);
  // Closes the connection where it has not ended.
  ~TlsHandshake() override;
  TlsHandshake(const TlsHandshake&) = delete;
  TlsHandshake& operator=(const TlsHandshake&) = delete;

 private:
  void on_events(std::uint32_t events) override;
  void advance();
  void linger();
  void discard();
  void on_due();
  void log(const std::string& why) const;
  void end(Outcome outcome);

  EventLoop& loop_;
  const std::shared_ptr<const TlsContext> context_;
  const Ended ended_;
  EventLoop::Timer timer_;
  std::unique_ptr<TlsTransport> transport_;  // null when it has ended
  bool wants_write_ = false;
  bool lingering_ = false;  // it has failed
};

}  // namespace naiad
