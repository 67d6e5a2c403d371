#include <doctest/doctest.h>

#include <atomic>

#include "grpc_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::string_view kServerLive = "/inference.GRPCInferenceService/ServerLive";

}  // namespace

TEST_CASE("any method but inference goes over the bridge and comes back") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t id =
      client.ask(kServerLive, "question", {{"x-mine", "1"}, {"grpc-timeout", "5S"}, {"user-agent", "test"}});
  client.push_all();
  const auto call = house.next_control();
  REQUIRE(call != nullptr);
  CHECK(call->method() == kServerLive);
  CHECK(call->metadata() == ControlCall::Metadata{{"x-mine", "1"}, {"user-agent", "test"}});
  CHECK(call->deadline_ns() > house.clock.now_ns());
  CHECK(*GrpcHouse::read(*call) == "question");
  CHECK(GrpcHouse::read(*call) == nullptr);
  CHECK_FALSE(call->cancelled());
  call->write("answer");
  call->finish(0, "");
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).messages() == std::vector<std::string>{"answer"});
  CHECK(client.call(id).status() == 0);
  CHECK_FALSE(call->cancelled());
  CHECK(house.bytes.used() == 0);
}

TEST_CASE("a method of Python's may fail, before or after messages") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t early = client.ask("/no.Such/Method", "");
  client.push_all();
  const auto first = house.next_control();
  first->finish(12, "Method not found!");
  REQUIRE(client.pump_closed(early));
  CHECK(client.call(early).status() == 12);
  CHECK(client.call(early).message() == "Method not found!");
  CHECK(client.call(early).trailers.empty());
  const std::int32_t late = client.ask(kServerLive, "");
  client.push_all();
  const auto second = house.next_control();
  second->write("");
  second->finish(13, "then not");
  second->finish(0, "twice");
  second->write("after the end");
  REQUIRE(client.pump_closed(late));
  CHECK(client.call(late).status() == 13);
  CHECK(client.call(late).trailers.count("grpc-message") == 1);
  CHECK(client.call(late).messages() == std::vector<std::string>{""});
  const std::int32_t odd = client.ask(kServerLive, "");
  client.push_all();
  house.next_control()->finish(99, "no such status");
  REQUIRE(client.pump_closed(odd));
  CHECK(client.call(odd).status() == 2);
}

TEST_CASE("messages stream both ways, one at a time") {
  GrpcHouse house;
  GrpcClient client(house.connect());
  const std::int32_t id = client.open("/some.Service/Chat");
  client.push_all();
  const auto call = house.next_control();
  for (int i = 0; i < 100; ++i) client.write_message(id, "q" + std::to_string(i));
  client.push_all();
  for (int i = 0; i < 100; ++i) {
    const auto message = GrpcHouse::read(*call);
    REQUIRE(message != nullptr);
    CHECK(*message == "q" + std::to_string(i));
    call->write("a" + std::to_string(i));
  }
  REQUIRE(client.pump([&] { return client.call(id).messages().size() == 100; }));
  CHECK(client.call(id).messages().back() == "a99");
  client.half_close(id);
  client.push_all();
  CHECK(GrpcHouse::read(*call) == nullptr);
  call->finish(0, "");
  REQUIRE(client.pump_closed(id));
  CHECK(client.call(id).status() == 0);
}

TEST_CASE("a reset, a lost connection and a deadline are told to the method") {
  GrpcHouse house;
  auto client = std::make_unique<GrpcClient>(house.connect());
  std::atomic<int> told{0};
  std::atomic<int> ended{0};
  const auto open = [&](const Fields& fields) {
    const std::int32_t id = client->open(kServerLive, fields);
    client->push_all();
    auto call = house.next_control();
    call->on_cancel([&] { ++told; });
    call->read([&](std::unique_ptr<std::string> message) { ended += message == nullptr ? 1 : 0; });
    return std::pair(id, std::move(call));
  };
  const auto [late, expired] = open({{"grpc-timeout", "20m"}});
  REQUIRE(client->pump_closed(late));
  CHECK(client->call(late).status() == 4);
  REQUIRE(comes_true([&] { return told == 1 && ended == 1; }));
  CHECK(expired->cancelled());
  const auto [dropped, reset] = open({});
  client->reset(dropped);
  client->push_all();
  REQUIRE(comes_true([&] { return told == 2 && ended == 2; }));
  CHECK(reset->cancelled());
  const auto [open_id, lost] = open({});
  client.reset();
  REQUIRE(comes_true([&] { return told == 3 && ended == 3; }));
  CHECK(lost->cancelled());
  // All of it is harmless then.
  lost->write("nobody");
  lost->finish(0, "");
  CHECK(GrpcHouse::read(*lost) == nullptr);
  lost->on_cancel([&] { ++told; });
  CHECK(told == 4);
}

TEST_CASE("a call may outlive its server") {
  std::shared_ptr<ControlCall> call;
  {
    GrpcHouse house;
    GrpcClient client(house.connect());
    static_cast<void>(client.ask(kServerLive, "q"));
    client.push_all();
    call = house.next_control();
  }
  CHECK(call->cancelled());
  CHECK(GrpcHouse::read(*call) == nullptr);
  call->write("x");
  call->finish(0, "");
}

TEST_CASE("what a client sends ahead to a method that does not read is bounded by the window") {
  DataPlaneOptions options;
  options.http2.stream_window_bytes = 65'535;
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const std::int32_t id = client.open(kServerLive);
  for (int i = 0; i < 1000; ++i) client.write_message(id, std::string(1000, 'x'));
  client.half_close(id);
  client.push_all();
  client.ping();
  REQUIRE(client.pump([&] { return client.num_pongs() == 1; }));
  CHECK(house.bytes.used() < 200'000);
  const auto call = house.next_control();
  int count = 0;
  std::thread reader([&] {
    while (const auto message = GrpcHouse::read(*call)) count += message->size() == 1000 ? 1 : 0;
    call->finish(0, "");
  });
  CHECK(client.pump_closed(id));
  reader.join();
  CHECK(count == 1000);
}
