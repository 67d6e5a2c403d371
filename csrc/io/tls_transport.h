#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "io/listener.h"
#include "io/tls_context.h"
#include "io/transport.h"

struct ssl_st;

namespace naiad {

// The server's side of TLS on a connected, non-blocking socket. First handshake(), until it is done; from
// then on a Transport like others. I/O thread, as the socket's loop.
class TlsTransport final : public Transport {
 public:
  // Throws Error(kUnavailable) without memory.
  TlsTransport(OwnedFd socket, std::shared_ptr<const TlsContext> context);
  // Says goodbye (close_notify) where that needs no waiting and nothing is cut off by it.
  ~TlsTransport() override;
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  // Goes on with the handshake: kMoved when it is done, kBroken when it has failed (the client has been told
  // why). Never blocks, but computes: a signature with the server's key, once.
  Outcome handshake();
  // Why it failed, for the log. Empty when the client left before it had sent a byte.
  const std::string& failure() const { return failure_; }
  // It failed because the client speaks HTTP without TLS.
  bool spoke_http() const { return spoke_http_; }

  int fd() const override { return socket_.fd.get(); }
  Moved read(std::span<std::byte> into) override;
  // Small pieces leave together, in one record.
  Moved write(std::span<const iovec> pieces) override;
  bool may_hold_input() const override;
  Outcome shut_sending() override;
  const char* protocol() const override { return protocol_.c_str(); }

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  // What OpenSSL reads from and writes to.
  struct Socket {
    OwnedFd fd;
    bool at_end = false;    // the other side has shut its sending side
    bool received = false;  // it has sent something
  };
  struct Bio;  // OpenSSL's way to it

  Outcome outcome_of(int result);
  Outcome say_goodbye();
  void fail(std::string why);
  Moved write_record(std::span<const std::byte> bytes);

  const std::shared_ptr<const TlsContext> context_;
  Socket socket_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string protocol_;
  std::string failure_;
  bool spoke_http_ = false;
  bool established_ = false;
  bool broken_ = false;
  bool at_end_ = false;  // the other side has said goodbye
  bool said_goodbye_ = false;
  bool record_begun_ = false;  // a part of a record has left
};

}  // namespace naiad
