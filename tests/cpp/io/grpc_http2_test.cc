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

// A connection that was closed, and the code of the GOAWAY that came before; -1: none did.
struct End {
  bool closed = false;
  int code = -1;
};

// Sends raw bytes to a new connection, and reads until the server closes it.
End end_of(GrpcHouse& house, const std::string& bytes) {
  const int fd = house.connect();
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) break;
    sent += static_cast<std::size_t>(count);
  }
  char buffer[4096];
  pollfd waiting{fd, POLLIN, 0};
  std::string said;
  End end;
  while (!end.closed && poll(&waiting, 1, 10'000) > 0) {
    const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    end.closed = count <= 0;
    if (count > 0) said.append(buffer, static_cast<std::size_t>(count));
  }
  close(fd);
  const auto byte = [&](std::size_t at) -> std::size_t { return static_cast<std::uint8_t>(said[at]); };
  for (std::size_t at = 0; at + 9 <= said.size();) {
    const std::size_t length = byte(at) << 16U | byte(at + 1) << 8U | byte(at + 2);
    if (byte(at + 3) == NGHTTP2_GOAWAY && at + 17 <= said.size()) end.code = static_cast<int>(byte(at + 16));
    at += 9 + length;
  }
  return end;
}

bool closes(GrpcHouse& house, const std::string& bytes) {
  return end_of(house, bytes).closed;
}

// The head of a call to `path`, in literals.
std::string call_head(std::uint32_t stream, std::string_view path) {
  std::string block = "\x83\x86";
  const auto add = [&](std::string_view name, std::string_view value) {
    block += '\0';
    block += static_cast<char>(name.size());
    block += name;
    block += static_cast<char>(value.size());
    block += value;
  };
  add(":path", path);
  add(":authority", "naiad");
  add("te", "trailers");
  add("content-type", "application/grpc");
  return frame(1, 4, stream, block);
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

TEST_CASE("a message that crawls is not waited for, though it never stands still") {
  DataPlaneOptions options;
  options.stall_timeout_ns = 200'000'000;
  options.min_bytes_per_second = 10'000;
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelInfer);
  client.write(id, std::string("\0\0\1\0\0x", 6));
  REQUIRE(client.pump([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    client.write(id, "x");
    return client.call(id).closed;
  }));
  CHECK(client.call(id).status() == 4);
  CHECK(house.bytes.used() == 0);
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

TEST_CASE("a header block far beyond the limit is reset, in front of the message and behind it") {
  DataPlaneOptions options;
  options.http2.max_metadata_bytes = 4096;
  // So few that the time which this takes, on a machine with much else to do, does not make up for them.
  options.http2.max_resets_per_second = 1;
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const std::int32_t vast =
      client.ask(kModelInfer, infer_message({1}), {{"x-vast", std::string(17'000, 'x')}});
  REQUIRE(client.pump_closed(vast));
  CHECK(client.call(vast).error_code == kEnhanceYourCalm);
  const std::int32_t fits = client.ask(kModelInfer, infer_message({1}));
  REQUIRE(client.pump_closed(fits));
  CHECK(client.call(fits).status() == 0);

  // One entry of the table, named 10,000 times.
  std::string bomb = "\x40\6x-bomb\x7F\xA1\x1E" + std::string(4000, 'b') + std::string(10'000, '\xBE');
  std::string calls = std::string(kPreface) + frame(4, 0, 0, "");
  for (std::uint32_t i = 0; i < 100; ++i)
    calls += call_head(2 * i + 1, kModelInfer) + frame(1, 5, 2 * i + 1, bomb);
  CHECK(end_of(house, calls).code == kEnhanceYourCalm);
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

TEST_CASE("frames that mean nothing end the connection when there are many of them, or when they are wrong") {
  GrpcHouse house;
  const std::string start = std::string(kPreface) + frame(4, 0, 0, "");
  std::string padding = start + call_head(1, kModelInfer);
  for (int i = 0; i < 10'000; ++i) {
    padding += frame(0, 8, 1, std::string("\2\0\0", 3));
  }
  CHECK(end_of(house, padding).code == kEnhanceYourCalm);
  CHECK(end_of(house, start + frame(2, 0, 0, std::string(5, '\0'))).code == NGHTTP2_PROTOCOL_ERROR);
  const std::string endless = start + frame(1, 0, 1, "") + frame(9, 4, 1, std::string((1 << 20) + 1, '\x82'));
  CHECK(end_of(house, endless).code == NGHTTP2_FRAME_SIZE_ERROR);
}

TEST_CASE("resets that a client makes the server send count as its own") {
  DataPlaneOptions options;
  options.http2.max_resets_per_second = 10;
  GrpcHouse house(options);
  std::string overflows = std::string(kPreface) + frame(4, 0, 0, "");
  for (std::uint32_t i = 0; i < 200; ++i) {
    overflows += call_head(2 * i + 1, kModelInfer) + frame(8, 0, 2 * i + 1, "\x7F\xFF\xFF\xFF");
  }
  CHECK(end_of(house, overflows).code == kEnhanceYourCalm);
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
