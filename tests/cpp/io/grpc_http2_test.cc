#include <doctest/doctest.h>

#include "grpc_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::uint32_t kEnhanceYourCalm = 0xB;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(unsigned type, unsigned flags, std::uint32_t stream, const std::string& content) {
  std::string bytes;
  for (unsigned shift : {16U, 8U, 0U}) bytes += static_cast<char>((content.size() >> shift) & 0xFF);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>((stream >> shift) & 0xFF);
  return bytes + content;
}

// Sends raw bytes to a new connection; whether the server closes it then.
bool closes(GrpcHouse& house, const std::string& bytes) {
  const int fd = house.connect();
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) break;
    sent += static_cast<std::size_t>(count);
  }
  char buffer[4096];
  pollfd waiting{fd, POLLIN, 0};
  bool closed = false;
  while (!closed && poll(&waiting, 1, 10'000) > 0) closed = recv(fd, buffer, sizeof buffer, 0) <= 0;
  close(fd);
  return closed;
}

}  // namespace

TEST_CASE("what is no HTTP/2 is closed") {
  GrpcHouse house;
  CHECK(closes(house, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  CHECK(closes(house, "\x16\x03\x01\x02"));                               // TLS to a plain port
  CHECK(closes(house, std::string(kPreface) + frame(4, 0, 0, "12345")));  // SETTINGS of a wrong size
  CHECK(closes(house, std::string(kPreface) + frame(4, 0, 0, "") + frame(0, 0, 0, "data on stream 0")));
  CHECK(closes(house,
               std::string(kPreface) + frame(4, 0, 0, "") + frame(1, 4, 1, "\xFF\xFF\xFF\xFF")));  // HPACK
  CHECK(comes_true([&] { return house.num_sessions == 0; }));
}

TEST_CASE("a client that says nothing is closed in time, and one that stops in a message is ended") {
  DataPlaneOptions options;
  options.header_timeout_ns = 20'000'000;
  options.stall_timeout_ns = 60'000'000;
  GrpcHouse house(options);
  CHECK(closes(house, ""));
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelInfer);
  client.write(id, std::string("\0\0\0\1\0x", 6));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 4);
  CHECK(house.bytes.used() == 0);
  // The connection is of use still.
  const std::int32_t next = client.ask(kModelInfer, infer_message({1}));
  REQUIRE(client.pump_closed(next));
  CHECK(client.call(next).status() == 0);
}

TEST_CASE("a client that does not take its answer is ended in time") {
  DataPlaneOptions options;
  options.stall_timeout_ns = 60'000'000;
  GrpcHouse house(options);
  GrpcClient::Options still;
  still.consumes = false;
  still.window_bytes = 1000;
  GrpcClient client(house.connect(), still);
  const std::int32_t id = client.ask(kModelInfer, infer_message(std::vector<float>(10'000, 1)));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).error_code == NGHTTP2_CANCEL);
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("what is no gRPC gets an HTTP status") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const auto http_status = [&](std::string_view type, std::string_view method) {
    const std::int32_t id = client.open(kModelInfer, {}, type, method);
    client.half_close(id);
    REQUIRE(client.pump_closed(id));
    return client.call(id).head.at(":status");
  };
  CHECK(http_status("application/json", "POST") == "415");
  CHECK(http_status("application/grpc-web", "POST") == "415");
  CHECK(http_status("", "POST") == "415");
  CHECK(http_status("application/grpc", "GET") == "405");
  CHECK(http_status("application/grpc+proto", "POST") == "200");
  CHECK(http_status("application/grpc;x=y", "POST") == "200");
}

TEST_CASE("metadata beyond the limit is refused, call by call") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t large =
      client.ask(kModelInfer, infer_message({1}), {{"x-large", std::string(17'000, 'x')}});
  REQUIRE(client.pump_closed(large));
  CHECK(client.call(large).status() == 8);
  const std::int32_t fits =
      client.ask(kModelInfer, infer_message({1}), {{"x-large", std::string(15'000, 'x')}});
  REQUIRE(client.pump_closed(fits));
  CHECK(client.call(fits).status() == 0);
}

TEST_CASE("header blocks in endless pieces, pings, settings and empty frames end the connection") {
  GrpcHouse house;
  const std::string start = std::string(kPreface) + frame(4, 0, 0, "");
  std::string continuations = start + frame(1, 0, 1, "");
  for (int i = 0; i < 100; ++i) continuations += frame(9, 0, 1, "");
  CHECK(closes(house, continuations));
  std::string pings = start;
  std::string settings = start;
  std::string priorities = start;
  for (int i = 0; i < 10'000; ++i) {
    pings += frame(6, 0, 0, "12345678");
    settings += frame(4, 0, 0, "");
    priorities += frame(2, 0, 1, std::string("\0\0\0\3\0", 5));
  }
  CHECK(closes(house, pings));
  CHECK(closes(house, settings));
  CHECK(closes(house, priorities));
}

TEST_CASE("rapid resets end the connection with ENHANCE_YOUR_CALM; a client beside it is served") {
  DataPlaneOptions options;
  options.http2.max_resets_per_second = 10;
  GrpcHouse house(options);
  GrpcClient attacker(house.connect());
  GrpcClient bystander(house.connect());
  for (int i = 0; i < 500 && attacker.num_goaways() == 0; ++i) {
    const std::int32_t id = attacker.open(kModelInfer);
    attacker.push_all();
    attacker.reset(id);
    attacker.push_all();
    static_cast<void>(attacker.pump([] { return true; }));
  }
  REQUIRE(attacker.pump([&] { return attacker.num_goaways() > 0; }));
  CHECK(attacker.goaway_code() == kEnhanceYourCalm);
  const std::int32_t id = bystander.ask(kModelInfer, infer_message({1}));
  REQUIRE(bystander.pump_closed(id));
  CHECK(bystander.call(id).status() == 0);
}

TEST_CASE("streams beyond the limit are refused, the others are served") {
  DataPlaneOptions options;
  options.http2.max_concurrent_streams = 5;
  GrpcHouse house(options);
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  client.push_all();
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(client.ask(kModelInfer, infer_message({1})));
  client.push_all();
  REQUIRE(comes_true([&] { return house.in_flight.size() == 5; }));
  house.echo.gate.open();
  int served = 0;
  for (const std::int32_t id : ids) {
    REQUIRE(client.pump_closed(id));
    served += client.call(id).status() == 0 ? 1 : 0;
    if (client.call(id).status() != 0) CHECK(client.call(id).error_code == NGHTTP2_REFUSED_STREAM);
  }
  CHECK(served >= 5);
}

TEST_CASE("pings are answered") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  for (int i = 0; i < 20; ++i) client.ping();
  CHECK(client.pump([&] { return client.num_pongs() == 20; }));
}

TEST_CASE("a drained connection finishes its calls, then closes") {
  GrpcHouse house;
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.ask(kModelInfer, infer_message({1}));
  client.push_all();
  REQUIRE(comes_true([&] { return house.in_flight.size() == 1; }));
  house.drain();
  REQUIRE(client.pump([&] { return client.num_goaways() == 2; }));
  CHECK(client.goaway_code() == 0);
  CHECK(client.goaway_last() == id);
  CHECK_FALSE(client.call(id).closed);
  house.echo.gate.open();
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
  CHECK(client.pump([&] { return client.gone(); }));
  client.close_socket();
  CHECK(comes_true([&] { return house.num_sessions == 0; }));
}

TEST_CASE("an idle connection is drained at once, and at its timeout") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  house.drain();
  CHECK(client.pump([&] { return client.gone(); }));
  CHECK(client.num_goaways() >= 1);  // nghttp2 listens to no more after the first, when it has no calls

  DataPlaneOptions options;
  options.http2.idle_timeout_ns = 20'000'000;
  options.header_timeout_ns = 20'000'000;
  GrpcHouse brief(options);
  GrpcClient idle(brief.connect());
  CHECK(idle.pump([&] { return idle.gone(); }));
  CHECK(idle.num_goaways() >= 1);
}

TEST_CASE("a client that has been silent is pinged; one that does not answer is closed") {
  DataPlaneOptions options;
  options.http2.keepalive_time_ns = 20'000'000;
  options.http2.keepalive_timeout_ns = 20'000'000;
  options.header_timeout_ns = 20'000'000;
  GrpcHouse house(options);
  CHECK(closes(house, std::string(kPreface) + frame(4, 0, 0, "")));
}
