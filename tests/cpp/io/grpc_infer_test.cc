#include <doctest/doctest.h>

#include <random>

#include "grpc_house.h"
#include "protocol/content_coding.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::vector<float> ramp(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 65'521);
  return values;
}

void check_echo(const GrpcClient::Call& call, const std::vector<float>& values) {
  CHECK(call.closed);
  CHECK(call.error_code == 0);
  CHECK(call.status() == 0);
  const auto messages = call.messages();
  REQUIRE(messages.size() == 1);
  const InferAnswer answer = read_answer(messages[0]);
  CHECK(answer.valid);
  CHECK(answer.model == "m");
  CHECK(answer.raw == bytes_of(values));
}

}  // namespace

TEST_CASE("ModelInfer is answered with headers, one message and trailers, call after call") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  for (int i = 0; i < 3; ++i) {
    const std::int32_t id = client.ask(kModelInfer, infer_message({1.5, 2}, "seven"));
    REQUIRE(client.pump_closed(id));
    check_echo(client.call(id), {1.5, 2});
    CHECK(client.call(id).head.at(":status") == "200");
    CHECK(client.call(id).head.at("content-type") == "application/grpc");
    CHECK(client.call(id).head.count("grpc-status") == 0);
    CHECK(read_answer(client.call(id).messages()[0]).id == "seven");
  }
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("a failure is trailers only: the status and the message of the engine") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const auto refused = [&](std::string_view message) {
    const std::int32_t id = client.ask(kModelInfer, message);
    REQUIRE(client.pump_closed(id));
    CHECK(client.call(id).trailers.empty());
    CHECK(client.call(id).body.empty());
    return client.call(id);
  };
  CHECK(refused(infer_message({1}, "", "other")).status() == 5);
  CHECK(refused(infer_message({1}, "", "other")).message() ==
        "Request for unknown model: 'other' is not found");
  CHECK(refused("\xFF\xFF\xFF").status() == 3);
  CHECK(refused(infer_message({-1, 1})).status() == 3);
  CHECK(refused(infer_message({-1, 1})).message() == "minus one");
  CHECK(refused(infer_message({1}, "", "m\n%\xC3\xA4")).message().find("m%0A%25%C3%A4") != std::string::npos);
  CHECK(refused("").status() == 5);  // the model without a name
}

TEST_CASE("a unary call has exactly one whole message") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t none = client.open(kModelInfer);
  client.half_close(none);
  const std::int32_t two = client.open(kModelInfer);
  client.write_message(two, infer_message({1}));
  client.write_message(two, infer_message({2}));
  client.half_close(two);
  const std::int32_t half = client.open(kModelInfer);
  client.write(half, std::string("\0\0\0\0\x09"
                                 "12345",
                                 10));
  client.half_close(half);
  const std::int32_t prefix = client.open(kModelInfer);
  client.write(prefix, std::string("\0\0\0", 3));
  client.half_close(prefix);
  const std::int32_t flag = client.open(kModelInfer);
  client.write(flag, std::string("\2\0\0\0\0", 5));
  const std::int32_t compressed = client.open(kModelInfer);
  client.write_message(compressed, "x", true);
  const std::map<std::int32_t, int> expected = {{none, 12},   {two, 12},  {half, 13},
                                                {prefix, 13}, {flag, 13}, {compressed, 13}};
  for (const auto& row : expected) {
    const auto& [id, status] = row;
    CAPTURE(row.first);
    REQUIRE(client.pump_closed(id));
    CHECK(client.call(id).status() == status);
    CHECK_FALSE(client.call(id).message().empty());
  }
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("a message beyond the limit is refused from its length, and the connection lives on") {
  DataPlaneOptions options;
  options.http2.max_message_bytes = 1000;
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const std::int32_t id = client.ask(kModelInfer, std::string(1001, 'x'));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 8);
  CHECK(client.call(id).message() == "Received message larger than max (1001 vs. 1000)");
  const std::int32_t fits = client.ask(kModelInfer, infer_message({1}));
  REQUIRE(client.pump_closed(fits));
  check_echo(client.call(fits), {1});
}

TEST_CASE("the byte budget of all connections bounds what is announced") {
  DataPlaneOptions options;
  options.max_in_flight_bytes = 10'000;
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const std::int32_t open = client.open(kModelInfer);
  client.write(open, std::string("\0\0\0\x23\x28", 5));  // 9000 bytes are to come
  client.push_all();
  REQUIRE(comes_true([&] { return house.bytes.used() == 9000; }));
  const std::int32_t refused = client.ask(kModelInfer, std::string(2000, 'x'));
  REQUIRE(client.pump_closed(refused));
  CHECK(client.call(refused).status() == 8);
  client.reset(open);
  client.push_all();
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("64 MB go in and out, at once for the frames and whole for the model") {
  DataPlaneOptions options;
  options.http2.max_message_bytes = 80UL << 20;
  GrpcHouse house(options);
  GrpcClient::Options wide;
  wide.window_bytes = 1 << 24;
  GrpcClient client(house.connect(), wide);
  const std::vector<float> values = ramp(16UL << 20);
  const std::int32_t id = client.ask(kModelInfer, infer_message(values));
  REQUIRE(client.pump_closed(id));
  check_echo(client.call(id), values);
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("an answer follows the client's windows, however small") {
  GrpcHouse house;
  for (const std::uint32_t window : {1U, 7U, 1000U, 16'385U}) {
    CAPTURE(window);
    GrpcClient::Options narrow;
    narrow.window_bytes = window;
    GrpcClient client(house.connect(), narrow);
    const std::vector<float> values = ramp(window < 100 ? 300 : 20'000);
    const std::int32_t id = client.ask(kModelInfer, infer_message(values));
    REQUIRE(client.pump_closed(id));
    check_echo(client.call(id), values);
  }
}

TEST_CASE("an answer that is not read waits, holds nobody up, and leaves when it may") {
  GrpcHouse house;
  GrpcClient::Options still;
  still.consumes = false;
  still.window_bytes = 70'000;
  GrpcClient client(house.connect(), still);
  const std::vector<float> values = ramp(20'000);
  const std::int32_t id = client.ask(kModelInfer, infer_message(values));
  REQUIRE(client.pump([&] { return client.call(id).body.size() == 70'000; }));
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  CHECK_FALSE(client.call(id).closed);
  client.consume_all();
  REQUIRE(client.pump_closed(id));
  check_echo(client.call(id), values);
}

TEST_CASE("calls share a connection: each gets its own answer, in any order") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 60; ++i) {
    ids.push_back(
        client.ask(kModelInfer, infer_message(std::vector<float>(static_cast<std::size_t>(1 + i * 7), 5))));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    REQUIRE(client.pump_closed(ids[i]));
    check_echo(client.call(ids[i]), std::vector<float>(1 + i * 7, 5));
  }
}

TEST_CASE("bytes may come in any pieces, messages of several calls in any mix") {
  GrpcHouse house;
  for (const std::size_t piece : {1UL, 3UL, 50UL, 3000UL}) {
    CAPTURE(piece);
    GrpcClient::Options pieces;
    pieces.max_piece_bytes = piece;
    GrpcClient client(house.connect(), pieces);
    std::vector<std::pair<std::int32_t, std::string>> open;
    for (std::size_t i = 0; i < 8; ++i) {
      const std::int32_t id = client.open(kModelInfer);
      const std::string message = infer_message(ramp(10 + i));
      std::string framed("\0\0\0\0", 4);
      framed += static_cast<char>(message.size());
      REQUIRE(message.size() < 256);
      open.emplace_back(id, framed + message);
    }
    std::mt19937 random(3);
    for (std::vector<std::size_t> at(open.size()); !open.empty();) {
      bool rest = false;
      for (std::size_t i = 0; i < open.size(); ++i) {
        const std::size_t count = std::min<std::size_t>(1 + random() % 9, open[i].second.size() - at[i]);
        client.write(open[i].first, open[i].second.substr(at[i], count));
        at[i] += count;
        if (at[i] == open[i].second.size()) client.half_close(open[i].first);
        rest = rest || at[i] < open[i].second.size();
      }
      client.push_all();
      if (!rest) break;
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
      REQUIRE(client.pump_closed(open[i].first));
      check_echo(client.call(open[i].first), ramp(10 + i));
    }
  }
}

TEST_CASE("a reset cancels the request, at every stage") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::string message = infer_message({1, 2, 3});
  const std::int32_t head = client.open(kModelInfer);
  client.push_all();
  client.reset(head);
  const std::int32_t part = client.open(kModelInfer);
  client.write(part, std::string("\0\0\0\1\0xx", 7));
  client.push_all();
  client.reset(part);
  house.echo.gate.shut();
  const std::int32_t runs = client.ask(kModelInfer, message);
  client.push_all();
  house.echo.gate.wait_for_arrivals(1);
  const std::int32_t waits = client.ask(kModelInfer, message);
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));  // all of it has been read
  CHECK(house.in_flight.size() == 2);
  client.reset(runs);
  client.reset(waits);
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 2; }));
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(house.echo.gate.num_arrived() == 1);  // the one that waited never ran
  CHECK(house.bytes.used() == 0);
  const std::int32_t last = client.ask(kModelInfer, message);
  REQUIRE(client.pump_closed(last));
  check_echo(client.call(last), {1, 2, 3});
}

TEST_CASE("a lost connection cancels all that it had out") {
  GrpcHouse house;
  house.echo.gate.shut();
  {
    GrpcClient client(house.connect());
    for (int i = 0; i < 20; ++i) static_cast<void>(client.ask(kModelInfer, infer_message({1})));
    client.push_all();
    REQUIRE(comes_true([&] { return house.in_flight.size() == 20; }));
    house.echo.gate.wait_for_arrivals(1);
  }
  REQUIRE(comes_true([&] { return house.num_sessions == 0; }));
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(house.echo.gate.num_arrived() == 1);
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("a connection that is cut at any byte leaves nothing behind") {
  GrpcHouse house;
  GrpcClient::Options options;
  std::string wire;
  {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    GrpcClient client(ends[0], options);
    static_cast<void>(client.ask(kModelInfer, infer_message({1, 2})));
    client.push_all();
    wire.resize(4096);
    wire.resize(static_cast<std::size_t>(recv(ends[1], wire.data(), wire.size(), 0)));
    close(ends[1]);
  }
  for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
    GrpcClient client(house.connect(), options);
    client.send_raw(wire.substr(0, cut));
  }
  CHECK(comes_true([&] { return house.num_sessions == 0 && house.in_flight.size() == 0; }));
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("a deadline ends the call while its request is out, and one that has passed runs nothing") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  house.echo.gate.shut();
  const std::int32_t runs = client.ask(kModelInfer, infer_message({1}), {{"grpc-timeout", "30m"}});
  REQUIRE(client.pump_closed(runs));
  CHECK(client.call(runs).status() == 4);
  CHECK(client.call(runs).message() == "Deadline Exceeded");
  const std::int32_t waits = client.ask(kModelInfer, infer_message({1}), {{"grpc-timeout", "1n"}});
  REQUIRE(client.pump_closed(waits));
  CHECK(client.call(waits).status() == 4);
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(house.echo.gate.num_arrived() <= 1);
  const std::int32_t patient = client.ask(kModelInfer, infer_message({1}), {{"grpc-timeout", "99999999H"}});
  REQUIRE(client.pump_closed(patient));
  check_echo(client.call(patient), {1});
  const std::int32_t bad = client.ask(kModelInfer, infer_message({1}), {{"grpc-timeout", "soon"}});
  REQUIRE(client.pump_closed(bad));
  CHECK(client.call(bad).status() == 13);
}

TEST_CASE("compressed messages are inflated; other encodings are refused and the known ones named") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  WireMessage plain;
  plain.text() = infer_message({1, 2, 3});
  plain.end_text();
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    std::string packed;
    deflate_message(plain, coding, packed);
    const std::int32_t id =
        client.open(kModelInfer, {{"grpc-encoding", std::string(content_coding_name(coding))}});
    client.write_message(id, packed, true);
    client.half_close(id);
    REQUIRE(client.pump_closed(id));
    check_echo(client.call(id), {1, 2, 3});
  }
  const std::int32_t plain_id = client.ask(kModelInfer, plain.text(), {{"grpc-encoding", "gzip"}});
  REQUIRE(client.pump_closed(plain_id));
  check_echo(client.call(plain_id), {1, 2, 3});
  const std::int32_t broken = client.open(kModelInfer, {{"grpc-encoding", "gzip"}});
  client.write_message(broken, "no gzip at all", true);
  client.half_close(broken);
  REQUIRE(client.pump_closed(broken));
  CHECK(client.call(broken).status() == 3);
  const std::int32_t other = client.ask(kModelInfer, plain.text(), {{"grpc-encoding", "snappy"}});
  REQUIRE(client.pump_closed(other));
  CHECK(client.call(other).status() == 12);
  CHECK(client.call(other).head.at("grpc-accept-encoding") == "identity, deflate, gzip");
}

TEST_CASE("a server that is stopping says so") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  house.stopping = true;
  const std::int32_t id = client.ask(kModelInfer, infer_message({1}));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 14);
  CHECK(client.call(id).message().starts_with("Server is stopping"));
}
