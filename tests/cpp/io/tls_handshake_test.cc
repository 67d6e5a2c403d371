#include "io/tls_handshake.h"

#include <doctest/doctest.h>

#include <string>

#include "tls_kit.h"

namespace naiad {
namespace {

using test::run_rounds;
using test::TlsClient;
using test::TlsClientOptions;
using test::TlsKit;
using test::TlsTestFiles;
using Outcome = TlsHandshake::Outcome;

TEST_CASE("tls handshake: versions and protocols") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* alpn : {"", "http/1.1", "h2,http/1.1"}) {
      TlsKit kit({.alpn = alpn, .version = version});
      kit.exchange();
      REQUIRE(kit.outcome == Outcome::kDone);
      CHECK(kit.client.alpn() == (*alpn == 0 ? "" : "http/1.1"));
      CHECK(kit.transport->protocol() == kit.client.alpn());
      CHECK(SSL_version(kit.client.ssl()) == version);
    }
    TlsKit grpc({.alpn = "http/1.1,h2", .version = version}, TlsProtocol::kGrpc);
    grpc.exchange();
    CHECK(grpc.outcome == Outcome::kDone);
    CHECK(grpc.client.alpn() == "h2");
  }
}

TEST_CASE("tls handshake: what is not spoken is refused") {
  SUBCASE("old versions") {
    for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
      TlsKit kit({.version = version});
      kit.exchange();
      kit.pair.close_far();
      run_rounds(kit.loop);
      CHECK(kit.outcome == Outcome::kFailed);
      CHECK(kit.client.failure() == "tlsv1 alert protocol version");
    }
  }
  SUBCASE("HTTP/2 alone on the port of HTTP/1.1") {
    TlsKit kit({.alpn = "h2"});
    kit.exchange();
    CHECK(kit.client.failure() == "tlsv1 alert no application protocol");
  }
  SUBCASE("HTTP/1.1 alone on the port of gRPC") {
    TlsKit kit({.alpn = "http/1.1"}, TlsProtocol::kGrpc);
    kit.exchange();
    CHECK(kit.client.failure() == "tlsv1 alert no application protocol");
  }
  SUBCASE("nothing agreed on at the port of gRPC") {
    TlsKit kit({}, TlsProtocol::kGrpc);
    kit.exchange();
    CHECK(kit.client.at_end());
    CHECK_FALSE(kit.transport);
  }
}

TEST_CASE("tls handshake: whatever the cuts") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto files = std::make_shared<const TlsTestFiles>(true);
    for (std::size_t cut = 1; cut < 40; ++cut) {
      TlsKit kit(files, {.root = files->root, .identity = files->client(), .version = version},
                 TlsProtocol::kHttp1);
      kit.cut = cut;
      kit.exchange();
      REQUIRE(kit.outcome == Outcome::kDone);
      CHECK(kit.client.server_name() == "server");
    }
  }
}

TEST_CASE("tls handshake: a client that leaves at any byte") {
  std::size_t size = 1;
  for (std::size_t count = 0; count < size; count += 13) {
    TlsKit kit;
    kit.client.shake();
    const std::string hello = kit.client.take_outgoing();
    size = hello.size();
    kit.pair.write(hello.substr(0, count));
    run_rounds(kit.loop);
    CHECK_FALSE(kit.outcome);
    kit.pair.close_far();
    run_rounds(kit.loop);
    // One that has sent nothing has only looked whether somebody is there.
    REQUIRE(kit.outcome == (count == 0 ? Outcome::kLeft : Outcome::kFailed));
    CHECK_FALSE(kit.transport);
  }
}

TEST_CASE("tls handshake: it has its time, whatever comes") {
  TlsKit kit;
  SUBCASE("nothing") {}
  SUBCASE("a part") {
    kit.client.shake();
    kit.pair.write(kit.client.take_outgoing().substr(0, 100));
  }
  SUBCASE("all but the last flight") {
    kit.client.shake();
    kit.pair.write(kit.client.take_outgoing());
  }
  kit.clock.advance(test::kHandshakeNs / 2);
  run_rounds(kit.loop);
  CHECK_FALSE(kit.outcome);
  kit.clock.advance(test::kHandshakeNs / 2 + 100'000'000);
  run_rounds(kit.loop);
  CHECK(kit.outcome == Outcome::kFailed);
  CHECK(kit.pair.read(&kit.ended).size() < 10'000);
  CHECK(kit.ended);
}

TEST_CASE("tls handshake: certificates of clients") {
  const auto files = std::make_shared<const TlsTestFiles>(true);
  TlsClientOptions options;
  options.root = files->root;
  std::string expected;
  const test::TlsIdentity other_root = test::make_identity("root", {.authority = true});
  SUBCASE("the right one") {
    options.identity = files->client();
  }
  SUBCASE("none") {
    expected = "tlsv13 alert certificate required";
  }
  SUBCASE("none, with TLS 1.2") {
    options.version = TLS1_2_VERSION;
    expected = "sslv3 alert handshake failure";
  }
  SUBCASE("of another authority, though of the same name") {
    options.identity = test::make_identity("client", {.issuer = &other_root});
    expected = "alert";
  }
  SUBCASE("its own") {
    options.identity = test::make_identity("client");
    expected = "alert";
  }
  SUBCASE("an expired one") {
    options.identity =
        test::make_identity("client", {.issuer = &files->root, .valid_from_s = -7200, .valid_to_s = -3600});
    expected = "sslv3 alert certificate expired";
  }
  TlsKit kit(files, options, TlsProtocol::kHttp1);
  kit.exchange();
  if (expected.empty()) {
    CHECK(kit.outcome == Outcome::kDone);
    CHECK(kit.client.failure().empty());
    return;
  }
  // With TLS 1.3 the client may have sent its request: what it is told must reach it all the same.
  CHECK(kit.client.failure().find(expected) != std::string::npos);
  CHECK(kit.ended);
  kit.pair.close_far();
  run_rounds(kit.loop);
  CHECK(kit.outcome == Outcome::kFailed);
  CHECK_FALSE(kit.transport);
}

TEST_CASE("tls handshake: who does not close after a failure is closed") {
  TlsKit kit({.alpn = "h2"});
  kit.exchange();
  CHECK(kit.ended);
  kit.pair.write(std::string(50'000, 'x'));
  run_rounds(kit.loop);
  CHECK_FALSE(kit.outcome);
  kit.clock.advance(1'100'000'000);
  run_rounds(kit.loop);
  CHECK(kit.outcome == Outcome::kFailed);
}

TEST_CASE("tls handshake: bytes without TLS") {
  std::string answer;
  const auto ask = [&](TlsProtocol protocol, std::string_view bytes) {
    TlsKit kit({}, protocol);
    kit.pair.write(bytes);
    run_rounds(kit.loop);
    answer = kit.pair.read(&kit.ended);
    CHECK(kit.ended);
    kit.pair.close_far();
    run_rounds(kit.loop);
    CHECK(kit.outcome == Outcome::kFailed);
    CHECK_FALSE(kit.transport);
  };
  SUBCASE("HTTP/1.1") {
    ask(TlsProtocol::kHttp1, "GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK(answer.find("plain HTTP was sent to a port of TLS") != std::string::npos);
    ask(TlsProtocol::kHttp1,
        "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(50'000, 'x'));
    CHECK(answer.starts_with("HTTP/1.1 400 "));
  }
  SUBCASE("HTTP/2") {
    ask(TlsProtocol::kGrpc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  }
  SUBCASE("anything") {
    for (const char byte : {'\0', '\1', '\x16', '\x17', '\xff'})
      ask(TlsProtocol::kHttp1, std::string(100, byte));
  }
}

TEST_CASE("tls handshake: destroyed at any time it closes the connection and says nothing") {
  for (int rounds = 0; rounds < 3; ++rounds) {
    TlsKit kit;
    for (int i = 0; i < rounds; ++i) {
      kit.client.shake();
      kit.pair.write_some(kit.client.take_outgoing());
      if (i + 1 < rounds) run_rounds(kit.loop);
    }
    if (kit.outcome) continue;
    kit.handshake.reset();
    kit.pair.read(&kit.ended);
    run_rounds(kit.loop);
    CHECK_FALSE(kit.outcome);
  }
}

TEST_CASE("tls handshake: a session is resumed by its ticket, also one with a client's certificate") {
  const auto files = std::make_shared<const TlsTestFiles>(true);
  auto context = std::make_shared<const TlsContext>(files->files, TlsProtocol::kHttp1);
  const TlsClientOptions options{.root = files->root, .identity = files->client(), .version = TLS1_2_VERSION};
  TlsKit first(files, options, TlsProtocol::kHttp1, context);
  first.exchange();
  CHECK(SSL_session_reused(first.client.ssl()) == 0);
  const auto connect_again = [&] {
    TlsKit kit(files, options, TlsProtocol::kHttp1, context);
    SSL_set_session(kit.client.ssl(), SSL_get_session(first.client.ssl()));
    kit.exchange();
    CHECK(kit.outcome == Outcome::kDone);
    return SSL_session_reused(kit.client.ssl()) == 1;
  };
  CHECK(connect_again());
  // Not with what a reload has made.
  context = std::make_shared<const TlsContext>(files->files, TlsProtocol::kHttp1);
  CHECK_FALSE(connect_again());
}

}  // namespace
}  // namespace naiad
