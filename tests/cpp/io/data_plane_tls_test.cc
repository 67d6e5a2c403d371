// The I/O threads with TLS, from the network to the model and back.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "fakes/comes_true.h"
#include "grpc_house.h"
#include "io/data_plane.h"
#include "tls_tunnel.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::uint64_t kLongNs = 20'000'000'000;

struct TlsHouse {
  explicit TlsHouse(bool mutual = false, const std::function<void(DataPlaneOptions&)>& change = {})
      : files(mutual) {
    DataPlaneOptions options;
    options.http.address = options.grpc.address = "127.0.0.1";
    options.http.tls = options.grpc.tls = files.files;
    options.num_threads = 2;
    if (change) change(options);
    plane = std::make_unique<DataPlane>(echo.engine, bridge, options);
    plane->start();
  }

  TlsClientOptions trusting(const std::string& alpn = "http/1.1") const {
    return {.root = files.root, .alpn = alpn};
  }
  bool all_closed() const {
    return comes_true([&] { return plane->usage().open_connections == 0; });
  }

  TlsTestFiles files;
  EchoEngine echo;
  Bridge bridge;
  std::unique_ptr<DataPlane> plane;
};

bool echoes(HttpClient& client, const std::vector<float>& values) {
  const BinaryInfer request = infer_binary(values);
  const HttpAnswer answer =
      client.ask(http_request("POST", "/v2/models/m/infer", request.body, request.field()));
  return answer.status == 200 && answer.body.ends_with(bytes_of(values));
}

bool echoes(GrpcClient& client, const std::vector<float>& values) {
  const std::int32_t id = client.ask(kModelInfer, infer_message(values));
  return client.pump_closed(id) && client.call(id).status() == 0 &&
         read_answer(client.call(id).messages().at(0)).raw == bytes_of(values);
}

}  // namespace

TEST_CASE("data plane with TLS: inference over both protocols, small and large") {
  TlsHouse house;
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      TlsTunnel to_http(house.plane->http_port(), house.trusting());
      TlsTunnel to_grpc(house.plane->grpc_port(), house.trusting("h2"));
      HttpClient http(to_http.take_fd());
      GrpcClient grpc(to_grpc.take_fd());
      for (const std::size_t count : {1UL, 100UL, 10'000UL, 500'000UL, 2UL}) {
        const std::vector<float> values(count, static_cast<float>(c));
        if (echoes(http, values) && echoes(grpc, values)) ++right;
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(right == 20);
  CHECK(house.all_closed());
  CHECK(house.plane->usage().failed_handshakes == 0);
  CHECK(house.echo.engine.pool().usage().used_bytes == 0);
}

TEST_CASE("data plane with TLS: one port may be plain") {
  TlsHouse house(false, [](DataPlaneOptions& options) { options.grpc.tls.reset(); });
  TlsTunnel tunnel(house.plane->http_port(), house.trusting());
  HttpClient http(tunnel.take_fd());
  CHECK(echoes(http, {1}));
  GrpcClient grpc(HttpClient::try_connect(house.plane->grpc_port()));
  CHECK(echoes(grpc, {1}));
  CHECK_FALSE(house.plane->reload_grpc_tls());
}

TEST_CASE("data plane with TLS: files of no use are refused before a port is opened") {
  CHECK_THROWS_AS(TlsHouse(false, [](DataPlaneOptions& options) { options.grpc.tls->key = "/none"; }), Error);
}

TEST_CASE(
    "data plane with TLS: clients without the right certificate are counted and give their place back") {
  TlsHouse house(true, [](DataPlaneOptions& options) { options.max_connections = 1; });
  for (int i = 0; i < 3; ++i) {
    {
      TlsTunnel stranger(house.plane->http_port(), house.trusting());
      HttpClient http(stranger.take_fd());
      http.send("GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n");
      CHECK(http.rest().empty());
    }
    CHECK(house.all_closed());
  }
  CHECK(house.plane->usage().failed_handshakes == 3);
  TlsClientOptions options = house.trusting();
  options.identity = house.files.client();
  TlsTunnel tunnel(house.plane->http_port(), options);
  HttpClient http(tunnel.take_fd());
  CHECK(echoes(http, {1}));
}

TEST_CASE("data plane with TLS: a port that is only looked at counts for nothing, plain HTTP is told") {
  TlsHouse house;
  {
    const HttpClient looking = HttpClient::to_port(house.plane->http_port());
  }
  CHECK(comes_true([&] { return house.plane->usage().accepted_connections == 1; }));
  CHECK(house.all_closed());
  CHECK(house.plane->usage().failed_handshakes == 0);
  HttpClient plain = HttpClient::to_port(house.plane->http_port());
  CHECK(plain.ask("GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n").status == 400);
  plain.hang_up();
  CHECK(house.all_closed());
  CHECK(house.plane->usage().failed_handshakes == 1);
}

TEST_CASE("data plane with TLS: a handshake has the time of a head") {
  TlsHouse house(false, [](DataPlaneOptions& options) { options.header_timeout_ns = 50'000'000; });
  HttpClient silent = HttpClient::to_port(house.plane->http_port());
  CHECK(silent.at_end());
  CHECK(comes_true([&] { return house.plane->usage().failed_handshakes == 1; }));
}

TEST_CASE("data plane with TLS: new certificates for new connections, the old ones go on") {
  TlsHouse house;
  TlsTunnel first(house.plane->http_port(), house.trusting());
  HttpClient old(first.take_fd());
  CHECK(first.server_name() == "server");
  CHECK(echoes(old, {1}));
  house.files.replace("second");
  CHECK(house.plane->reload_http_tls());
  CHECK_FALSE(house.plane->reload_http_tls());
  TlsTunnel second(house.plane->http_port(), house.trusting());
  HttpClient fresh(second.take_fd());
  CHECK(second.server_name() == "second");
  CHECK(echoes(fresh, {2}));
  CHECK(echoes(old, {3}));
  // gRPC has not been told.
  CHECK(TlsTunnel(house.plane->grpc_port(), house.trusting("h2")).server_name() == "server");
  CHECK(house.plane->reload_grpc_tls());
  CHECK(TlsTunnel(house.plane->grpc_port(), house.trusting("h2")).server_name() == "second");
  house.files.folder.write("server.key", "broken");
  CHECK_THROWS_AS(static_cast<void>(house.plane->reload_http_tls()), Error);
  CHECK(TlsTunnel(house.plane->http_port(), house.trusting()).server_name() == "second");
}

TEST_CASE("data plane with TLS: certificates are changed under load, and no request is lost") {
  TlsHouse house;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 3; ++c) {
    clients.emplace_back([&] {
      while (!stop) {
        TlsTunnel tunnel(house.plane->http_port(), house.trusting());
        HttpClient http(tunnel.take_fd());
        for (int i = 0; i < 3; ++i) wrong += echoes(http, {1, 2}) ? 0 : 1;
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    house.files.replace("server " + std::to_string(i));
    CHECK(house.plane->reload_http_tls());
  }
  stop = true;
  for (auto& client : clients) client.join();
  CHECK(wrong == 0);
}

TEST_CASE("data plane with TLS: draining closes what shakes hands, and says goodbye") {
  TlsHouse house;
  TlsTunnel tunnel(house.plane->http_port(), house.trusting());
  HttpClient idle(tunnel.take_fd());
  CHECK(echoes(idle, {1}));
  HttpClient shaking = HttpClient::to_port(house.plane->http_port());
  CHECK(comes_true([&] { return house.plane->usage().open_connections == 2; }));
  CHECK(house.plane->drain(kLongNs));
  CHECK(shaking.at_end());
  CHECK(idle.at_end());
  CHECK(house.plane->usage().failed_handshakes == 0);
  CHECK(house.plane->usage().open_connections == 0);
}

TEST_CASE("data plane with TLS: stopped in the middle of handshakes") {
  TlsHouse house;
  std::vector<HttpClient> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(HttpClient::to_port(house.plane->http_port()));
  CHECK(comes_true([&] { return house.plane->usage().open_connections == 5; }));
  house.plane->stop();
  for (HttpClient& client : clients) CHECK(client.at_end());
  CHECK(house.plane->usage().open_connections == 0);
}
