#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace naiad {

// How a Stream moves bytes: a plain socket, or TLS over one. Never blocks. I/O thread.
class Transport {
 public:
  enum class Outcome : unsigned char {
    kMoved,      // size_bytes > 0 were moved
    kWantRead,   // nothing now; try again when the descriptor is readable
    kWantWrite,  // nothing now; try again when it is writable
    kEnd,        // the other side has shut its sending side down, in order
    kBroken,
  };
  struct Moved {
    Outcome outcome = Outcome::kBroken;
    std::size_t size_bytes = 0;
  };

  virtual ~Transport() = default;
  // The descriptor to watch; owned by the transport.
  virtual int fd() const = 0;
  virtual Moved read(std::span<std::byte> into) = 0;
  // Reads into the pieces, in their order; a transport for which that is no gain fills the first only.
  virtual Moved scatter(std::span<const iovec> pieces) {
    return read({static_cast<std::byte*>(pieces.front().iov_base), pieces.front().iov_len});
  }
  // A write that moved nothing is tried again with the same bytes in front; where they lie may have changed.
  virtual Moved write(std::span<const iovec> pieces) = 0;
  // Whether a read that moved less than there was room for may be followed by another that moves something
  // although the descriptor is not readable (TLS: a record that is decrypted but not handed over).
  virtual bool may_hold_input() const { return true; }
  // The descriptor need not become readable before there are `size_bytes` to read, or the other side has
  // ended: fewer wake-ups for what is of no use before it is whole. A hint; holds until the next call.
  virtual void await_bytes(std::size_t /*size_bytes*/) {}
  // Bytes that wait to be read, as far as that is known.
  virtual std::size_t waiting_bytes() const { return 0; }
  // Nothing more will be written: tells the other side (TLS: after a close_notify). kMoved when it is told,
  // kWantWrite when it has to be tried again.
  virtual Outcome shut_sending() {
    return ::shutdown(fd(), SHUT_WR) == 0 ? Outcome::kMoved : Outcome::kBroken;
  }
  // The protocol agreed on by ALPN ("h2", "http/1.1"); empty for a plain socket, and where nothing was agreed
  // on.
  virtual const char* protocol() const = 0;
};

// Takes over a connected, non-blocking socket.
std::unique_ptr<Transport> make_plain_transport(int fd);

}  // namespace naiad
