#include <doctest/doctest.h>

#include "grpc_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::vector<InferAnswer> answers(const GrpcClient::Call& call) {
  std::vector<InferAnswer> list;
  for (const std::string& message : call.messages()) list.push_back(read_stream_answer(message));
  return list;
}

// A FIFO proof: the id says which request it was.
std::string numbered(std::size_t i) {
  return infer_message({static_cast<float>(i)}, std::to_string(i));
}

}  // namespace

TEST_CASE("ModelStreamInfer answers many requests in their order, and ends after the last") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  constexpr std::size_t kCount = 50;
  for (std::size_t i = 0; i < kCount; ++i) client.write_message(id, numbered(i));
  REQUIRE(client.pump([&] { return client.call(id).messages().size() == kCount; }));
  CHECK_FALSE(client.call(id).closed);
  client.write_message(id, numbered(kCount));
  client.half_close(id);
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
  const auto list = answers(client.call(id));
  REQUIRE(list.size() == kCount + 1);
  for (std::size_t i = 0; i <= kCount; ++i) {
    CHECK(list[i].valid);
    CHECK(list[i].error.empty());
    CHECK(list[i].id == std::to_string(i));
    CHECK(list[i].raw == bytes_of({static_cast<float>(i)}));
    CHECK(list[i].parameter == map_entry("triton_final_response", varint_field(1, 1)));
  }
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("an answer that waits for its turn keeps its bytes") {
  Gate other_gate;
  GrpcHouse house;
  ModelSpec spec = row_model(8);
  spec.name = "other";
  const auto factory = [&](const InstanceSpec&) { return std::make_unique<EchoBackend>(other_gate); };
  house.echo.engine.publish("other", {house.echo.engine.start(spec, factory, {{"other_0", {}}})});
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  client.write_message(id, numbered(0));
  client.write_message(id, infer_message({7.25F}, "1", "other"));
  client.half_close(id);
  client.push_all();
  house.echo.gate.wait_for_arrivals(1);
  other_gate.wait_for_arrivals(1);
  REQUIRE(comes_true([&] { return house.in_flight.size() == 1; }));
  // Their memory is that of the answer that waits, if that has let go of it.
  for (int i = 0; i < 20; ++i) {
    REQUIRE(client.pump_closed(client.ask(kModelInfer, infer_message({9.5F}, "x", "other"))));
  }
  house.echo.gate.open();
  REQUIRE(client.pump_closed(id));
  const auto list = answers(client.call(id));
  REQUIRE(list.size() == 2);
  CHECK(list[0].raw == bytes_of({0.0F}));
  CHECK(list[1].raw == bytes_of({7.25F}));
}

TEST_CASE("a stream without requests ends well") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  client.half_close(id);
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
  CHECK(client.call(id).body.empty());
}

TEST_CASE("a request of a stream that fails is a message with its id, in its turn; the stream goes on") {
  GrpcHouse house;
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  client.write_message(id, numbered(0));
  client.write_message(id, infer_message({1}, "unknown", "other"));
  client.write_message(id, "\xFF\xFF");
  client.write_message(id, infer_message({-1}, "minus"));
  client.write_message(id, numbered(4));
  client.half_close(id);
  client.push_all();
  house.echo.gate.wait_for_arrivals(1);
  CHECK(client.call(id).body.empty());  // those that failed at once wait for the first
  house.echo.gate.open();
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
  const auto list = answers(client.call(id));
  REQUIRE(list.size() == 5);
  CHECK(list[0].id == "0");
  CHECK(list[1].error == "Request for unknown model: 'other' is not found");
  CHECK(list[1].id == "unknown");
  CHECK_FALSE(list[2].error.empty());
  CHECK(list[2].valid);
  CHECK(list[3].error == "minus one");
  CHECK(list[3].id == "minus");
  CHECK(list[4].id == "4");
  CHECK(list[4].error.empty());
}

TEST_CASE("with triton_grpc_error the first failure ends the stream with a status") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer, {{"triton_grpc_error", "true"}});
  client.write_message(id, numbered(0));
  client.write_message(id, infer_message({-1}));
  client.write_message(id, numbered(2));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 3);
  CHECK(client.call(id).message() == "minus one");
  CHECK(client.call(id).messages().size() == 1);
  CHECK(comes_true([&] { return house.in_flight.size() == 0 && house.bytes.used() == 0; }));
}

TEST_CASE("a stream has a bounded number of requests out; what comes ahead waits, and all is answered") {
  DataPlaneOptions options;
  options.http2.max_waiting_requests = 4;
  GrpcHouse house(options);
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  constexpr std::size_t kCount = 300;
  for (std::size_t i = 0; i < kCount; ++i) client.write_message(id, numbered(i));
  client.half_close(id);
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  CHECK(house.in_flight.size() == 4);
  house.echo.gate.open();
  REQUIRE(client.pump_closed(id));
  const auto list = answers(client.call(id));
  REQUIRE(list.size() == kCount);
  for (std::size_t i = 0; i < kCount; ++i) CHECK(list[i].id == std::to_string(i));
  CHECK(client.call(id).status() == 0);
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("what a stream sends ahead is bounded by its window") {
  DataPlaneOptions options;
  options.http2.max_waiting_requests = 2;
  options.http2.stream_window_bytes = 65'535;
  GrpcHouse house(options);
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  const std::string message = infer_message(std::vector<float>(2500, 1));  // 10 KB
  for (int i = 0; i < 40; ++i) client.write_message(id, message);
  const std::int32_t other = client.open(kModelInfer);
  client.push_all();
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  CHECK(nghttp2_session_get_stream_remote_window_size(client.session(), id) <= 0);
  CHECK(house.bytes.used() < 300'000);
  client.write_message(other, infer_message({1}, "", "other"));
  client.half_close(other);
  REQUIRE(client.pump_closed(other));  // the connection is not held up
  house.echo.gate.open();
  client.half_close(id);
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).messages().size() == 40);
  CHECK(client.call(id).status() == 0);
}

TEST_CASE("a client that does not read the answers of a stream is not read either") {
  GrpcHouse house;
  GrpcClient::Options still;
  still.consumes = false;
  GrpcClient client(house.connect(), still);
  const std::int32_t id = client.open(kModelStreamInfer);
  const std::string message = infer_message(std::vector<float>(100'000, 1));  // 400 KB
  for (int i = 0; i < 40; ++i) client.write_message(id, message);
  client.half_close(id);
  REQUIRE(client.pump([&] { return client.call(id).body.size() == 65'535; }));
  CHECK(house.echo.gate.num_arrived() < 40);
  REQUIRE(client.pump([&] {
    client.consume_all();
    return client.call(id).closed;
  }));
  CHECK(client.call(id).messages().size() == 40);
  CHECK(client.call(id).status() == 0);
}

TEST_CASE("a stream that is reset cancels all its requests") {
  GrpcHouse house;
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer);
  for (std::size_t i = 0; i < 20; ++i) client.write_message(id, numbered(i));
  client.push_all();
  REQUIRE(comes_true([&] { return house.in_flight.size() == 20; }));
  house.echo.gate.wait_for_arrivals(1);
  client.reset(id);
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(house.echo.gate.num_arrived() == 1);
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("a deadline ends a stream whose requests are out") {
  GrpcHouse house;
  house.echo.gate.shut();
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kModelStreamInfer, {{"grpc-timeout", "30000u"}});
  for (std::size_t i = 0; i < 3; ++i) client.write_message(id, numbered(i));
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 4);
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
}

TEST_CASE("large answers of a stream come through small windows in order") {
  GrpcHouse house;
  GrpcClient::Options narrow;
  narrow.window_bytes = 5000;
  GrpcClient client(house.connect(), narrow);
  const std::int32_t id = client.open(kModelStreamInfer);
  for (std::size_t i = 1; i <= 5; ++i) {
    client.write_message(id, infer_message(std::vector<float>(i * 5000, static_cast<float>(i))));
  }
  client.half_close(id);
  REQUIRE(client.pump_closed(id));
  const auto list = answers(client.call(id));
  REQUIRE(list.size() == 5);
  for (std::size_t i = 1; i <= 5; ++i) {
    CHECK(list[i - 1].raw == bytes_of(std::vector<float>(i * 5000, static_cast<float>(i))));
  }
}
