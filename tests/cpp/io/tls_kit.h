#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "io/tls_handshake.h"
#include "stream_kit.h"
#include "tls_client.h"

namespace naiad::test {

inline constexpr std::uint64_t kHandshakeNs = 10'000'000'000;

// A handshake on one end of a socket pair, then a stream; a client at the other end whose bytes are cut.
struct TlsKit : StreamKit {
  explicit TlsKit(const TlsClientOptions& options = {}, TlsProtocol protocol = TlsProtocol::kHttp1,
                  bool mutual = false)
      : TlsKit(std::make_shared<TlsTestFiles>(mutual), options, protocol) {}
  TlsKit(std::shared_ptr<const TlsTestFiles> given, const TlsClientOptions& options, TlsProtocol protocol,
         std::shared_ptr<const TlsContext> context = nullptr)
      : files(std::move(given)),
        client(options),
        handshake(std::make_unique<TlsHandshake>(
            loop, OwnedFd(pair.take_near()),
            context != nullptr ? context : std::make_shared<const TlsContext>(files->files, protocol),
            kHandshakeNs,
            [this](TlsHandshake&, TlsHandshake::Outcome came, std::unique_ptr<Transport> moved) {
              CHECK_FALSE(outcome);
              outcome = came;
              transport = std::move(moved);
            })) {}

  // Moves bytes both ways until neither side has more to say.
  void exchange() {
    for (bool moved = true; moved;) {
      moved = false;
      client.shake();
      const std::string out = client.take_outgoing();
      for (std::size_t at = 0; at < out.size() && pair.far >= 0; at += cut) {
        moved = true;
        if (pair.write_some(out.substr(at, cut)) == 0) break;
        run_rounds(loop, 2);
      }
      run_rounds(loop, 2);
      moved = receive() || moved;
    }
  }
  // What the server has sent goes to the client.
  bool receive() {
    const std::string in = pair.read(&ended);
    if (on_wire != nullptr) *on_wire += in;
    for (std::size_t at = 0; at < in.size(); at += cut) {
      client.give(std::string_view(in).substr(at, cut));
      if (client.shake()) got += client.read();
    }
    return !in.empty();
  }
  // The handshake, and the stream behind it.
  void open() {
    exchange();
    REQUIRE(outcome == TlsHandshake::Outcome::kDone);
    handshake.reset();
    stream_fd = transport->fd();
    start(std::move(transport));
  }
  void send(std::string_view bytes) {
    client.write(bytes);
    exchange();
  }

  std::shared_ptr<const TlsTestFiles> files;
  TlsClient client;
  std::unique_ptr<TlsHandshake> handshake;
  std::optional<TlsHandshake::Outcome> outcome;
  std::unique_ptr<Transport> transport;
  int stream_fd = -1;
  std::size_t cut = std::size_t{1} << 20;
  std::string got;                 // what the client has read
  std::string* on_wire = nullptr;  // what the server has sent, as it is
  bool ended = false;              // the server has shut its sending side
};

}  // namespace naiad::test
