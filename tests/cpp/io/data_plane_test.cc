#include "io/data_plane.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"
#include "control_fake.h"
#include "echo_model.h"
#include "fakes/comes_true.h"
#include "http_client.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::uint64_t kLongNs = 20'000'000'000;

DataPlaneOptions loopback(std::size_t num_threads = 1) {
  DataPlaneOptions options;
  options.http.address = "127.0.0.1";
  options.grpc.enabled = false;
  options.num_threads = num_threads;
  return options;
}

struct House {
  explicit House(DataPlaneOptions options = loopback()) : plane(echo.engine, bridge, std::move(options)) {
    plane.start();
  }
  HttpClient connect() const { return HttpClient::to_port(plane.http_port()); }

  EchoEngine echo;
  Bridge bridge;
  DataPlane plane;
};

std::string infer_request(std::string_view body = infer_json(), std::string_view fields = {}) {
  return http_request("POST", "/v2/models/m/infer", body, fields);
}

}  // namespace

TEST_CASE("an inference request is answered over the network, again and again") {
  House house;
  HttpClient client = house.connect();
  for (int i = 0; i < 3; ++i) {
    const HttpAnswer answer = client.ask(infer_request());
    CHECK(answer.status == 200);
    CHECK(answer.fields.at("content-type") == "application/json");
    CHECK(answer.body.find(R"("data":[1.5,2.0])") != std::string::npos);
  }
  CHECK(house.plane.usage().accepted_connections == 1);
  CHECK(house.plane.usage().open_connections == 1);
}

TEST_CASE("connections are spread over the threads in turn, and all are served") {
  House house(loopback(2));
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      HttpClient client = house.connect();
      for (int i = 0; i < 50; ++i) {
        const std::vector<float> values{static_cast<float>(c), static_cast<float>(i)};
        const BinaryInfer request = infer_binary(values);
        const HttpAnswer answer = client.ask(infer_request(request.body, request.field()));
        if (answer.status == 200 && answer.body.ends_with(bytes_of(values))) ++right;
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(right == 400);
  CHECK(comes_true([&] { return house.plane.usage().open_connections == 0; }));
  CHECK(house.plane.usage().accepted_connections == 8);
  CHECK(house.plane.usage().in_flight == 0);
  CHECK(house.plane.usage().in_flight_bytes == 0);
}

TEST_CASE("a port that is taken is refused by name") {
  House house;
  DataPlaneOptions options = loopback();
  options.http.port = house.plane.http_port();
  CHECK_THROWS_AS(DataPlane(house.echo.engine, house.bridge, options), Error);
  options.http.address = "256.1.1.1";
  CHECK_THROWS_AS(DataPlane(house.echo.engine, house.bridge, options), Error);
}

TEST_CASE("connections beyond the bound are closed at once; a place that falls free is given again") {
  DataPlaneOptions options = loopback();
  options.max_connections = 2;
  House house(options);
  HttpClient first = house.connect();
  CHECK(first.ask(infer_request()).status == 200);
  {
    HttpClient second = house.connect();
    CHECK(second.ask(infer_request()).status == 200);
    HttpClient third = house.connect();
    CHECK(third.at_end());
  }
  CHECK(house.plane.usage().refused_connections == 1);
  CHECK(comes_true([&] { return house.plane.usage().open_connections == 1; }));
  HttpClient fourth = house.connect();
  CHECK(fourth.ask(infer_request()).status == 200);
}

TEST_CASE("inference is refused while others still connect; what is given up is answered") {
  House house;
  house.echo.gate.shut();
  const int before = house.echo.gate.num_arrived();
  HttpClient busy = house.connect();
  REQUIRE(busy.send(infer_request()));
  house.echo.gate.wait_for_arrivals(before + 1);
  house.plane.refuse_inference();
  HttpClient late = house.connect();
  const HttpAnswer refused = late.ask(infer_request());
  CHECK(refused.status == 503);
  CHECK(refused.body.find("Server is stopping") != std::string::npos);
  house.plane.give_up();
  const HttpAnswer given_up = busy.answer();
  CHECK(given_up.status == 503);
  CHECK(given_up.body.find("was not finished in time") != std::string::npos);
  house.echo.gate.open();
  CHECK(house.plane.drain(kLongNs));
}

TEST_CASE("draining finishes what is in flight, closes what is idle and lets nobody in") {
  House house(loopback(2));
  HttpClient idle = house.connect();
  CHECK(idle.ask(infer_request()).status == 200);
  house.echo.gate.shut();
  const int before = house.echo.gate.num_arrived();
  HttpClient busy = house.connect();
  REQUIRE(busy.send(infer_request()));
  house.echo.gate.wait_for_arrivals(before + 1);
  CHECK_FALSE(house.plane.drain(1'000'000));
  CHECK(idle.at_end());
  const int refused = HttpClient::try_connect(house.plane.http_port());
  CHECK(refused < 0);
  house.echo.gate.open();
  const HttpAnswer answer = busy.answer();
  CHECK(answer.status == 200);
  CHECK(answer.fields.at("connection") == "close");
  CHECK(busy.at_end());
  CHECK(house.plane.drain(kLongNs));
  CHECK(house.plane.usage().open_connections == 0);
}

TEST_CASE("a request that was begun before the drain is refused in Triton's words") {
  House house;
  HttpClient client = house.connect();
  const std::string request = infer_request();
  REQUIRE(client.send(request.substr(0, 20)));
  // The server has those bytes when it has answered a later connection's request.
  CHECK(comes_true([&] { return house.plane.usage().open_connections == 1; }));
  HttpClient other = house.connect();
  CHECK(other.ask(infer_request()).status == 200);
  CHECK_FALSE(house.plane.drain(1'000'000));
  REQUIRE(client.send(request.substr(20)));
  const HttpAnswer answer = client.answer();
  CHECK(answer.status == 503);
  CHECK(answer.fields.at("connection") == "close");
  CHECK(
      answer.body ==
      R"({"error":"Server is stopping, scheduler for model has stopped accepting new inference requests"})");
  CHECK(client.at_end());
  CHECK(house.plane.drain(kLongNs));
}

TEST_CASE("stopping closes everything at once; requests in flight are cancelled") {
  House house;
  house.echo.gate.shut();
  HttpClient client = house.connect();
  REQUIRE(client.send(infer_request()));
  house.echo.gate.wait_for_arrivals(1);
  std::thread opener([&] {
    // The connection's end says that the stop is under way.
    CHECK(client.at_end());
    house.echo.gate.open();
  });
  house.plane.stop();
  opener.join();
  house.plane.stop();
  CHECK(house.plane.usage().open_connections == 0);
}

TEST_CASE("a client that goes away cancels its requests; the others are served") {
  House house;
  house.echo.gate.shut();
  {
    HttpClient client = house.connect();
    REQUIRE(client.send(infer_request()));
    house.echo.gate.wait_for_arrivals(1);
    HttpClient waiting = house.connect();
    REQUIRE(waiting.send(infer_request()));
    CHECK(comes_true([&] { return house.plane.usage().in_flight == 2; }));
  }
  CHECK(comes_true([&] { return house.plane.usage().open_connections == 0; }));
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.plane.usage().in_flight == 0; }));
  CHECK(house.echo.model->statistics().inference_count <= 1);
  HttpClient client = house.connect();
  CHECK(client.ask(infer_request()).status == 200);
}

TEST_CASE("clients that leave at every byte lose nobody anything") {
  House house(loopback(2));
  const BinaryInfer body = infer_binary({1, 2, 3, 4});
  const std::string request = infer_request(body.body, body.field());
  HttpClient bystander = house.connect();
  for (std::size_t cut = 0; cut <= request.size(); ++cut) {
    HttpClient client = house.connect();
    REQUIRE(client.send(request.substr(0, cut)));
  }
  CHECK(bystander.ask(request).status == 200);
  CHECK(comes_true([&] { return house.plane.usage().open_connections == 1; }));
  CHECK(comes_true([&] { return house.plane.usage().in_flight == 0; }));
  CHECK(comes_true([&] { return house.plane.usage().in_flight_bytes == 0; }));
  CHECK(comes_true([&] { return house.echo.engine.pool().usage().used_bytes == 0; }));
}
