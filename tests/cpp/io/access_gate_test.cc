#include "io/access_gate.h"

#include <doctest/doctest.h>
#include <openssl/sha.h>

#include <algorithm>

#include "grpc_client.h"
#include "grpc_house.h"
#include "session_house.h"

namespace naiad::test {
namespace {

std::shared_ptr<KeyRing> ring_with(const std::string& secret, std::uint64_t permissions) {
  ApiKey key{"tester", {}, permissions};
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), key.digest.data());
  auto ring = std::make_shared<KeyRing>();
  ring->replace({key});
  return ring;
}

AccessGate gate_with(std::shared_ptr<KeyRing> ring, std::shared_ptr<GuessLimit> guesses = nullptr) {
  return AccessGate(RouteTable({{"/v2/health/live", ApiGroup::kHealth, {{"GET", false}}}}), {}, "API",
                    std::move(ring), std::move(guesses), Asked{ApiGroup::kHealth, false}.bit());
}

}  // namespace

TEST_CASE("a key is found by its digest, and no more once it is replaced") {
  const auto ring = ring_with("secret", 5);
  const auto find = [&](std::string_view key) { return ring->find(ring->digest_of(key).value()); };
  REQUIRE(find("secret"));
  CHECK(find("secret")->name == "tester");
  CHECK(find("secret")->permissions == 5);
  for (const std::string_view other : {"", "secre", "secret ", "Secret"}) CHECK_FALSE(find(other));
  ring->replace({});
  CHECK_FALSE(find("secret"));
}

TEST_CASE("an open gate reads nothing and refuses nothing") {
  const AccessGate gate;
  CHECK_FALSE(gate.is_closed());
  CHECK_FALSE(gate.reads("authorization"));
  CHECK(gate.check(kAskedToInfer, {}, 0).allowed());
}

TEST_CASE("inference over HTTP is refused before its body is read") {
  DataPlaneOptions options;
  options.http.gate = gate_with(ring_with("secret", kAskedToInfer.bit()));
  SessionHouse house(options);
  HttpClient client = house.connect();
  const HttpAnswer answer =
      client.ask("POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
  CHECK(answer.status == 401);
  CHECK(answer.fields.at("www-authenticate").starts_with("Bearer"));
  HttpClient other = house.connect();
  const std::string head = "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
  CHECK(other.ask(head + "Authorization: Bearer wrong\r\n\r\n{}").status == 401);
  CHECK(other.ask(head + "Authorization: Bearer secret\r\n\r\n{}").status == 400);
  std::vector<EdgeCounts::Count> counts;
  house.on_loop([&] { house.counts.add_http_to(counts); });
  REQUIRE(counts.size() == 2);
  CHECK((counts[0].group == ApiGroup::kInference && counts[0].status == 400 && counts[0].count == 1));
  CHECK((counts[1].group == ApiGroup::kInference && counts[1].status == 401 && counts[1].count == 2));
}

TEST_CASE("who guesses keys is told when to come again") {
  DataPlaneOptions options;
  const auto guesses = std::make_shared<GuessLimit>(std::make_shared<FakeClock>(), 2);
  const auto ring = ring_with("secret", kAskedToInfer.bit());
  options.http.gate = gate_with(ring, guesses);
  SessionHouse house(options);
  const auto show = [&](HttpClient& client, const std::string& key) {
    return client.ask(
        "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nAuthorization: Bearer " + key +
        "\r\n\r\n{}");
  };
  const auto show_anew = [&](const std::string& key) {
    HttpClient client = house.connect();
    return show(client, key);
  };
  HttpClient client = house.connect();
  CHECK(show(client, "wrong-1").status == 401);
  CHECK(show(client, "wrong-2").status == 401);
  const HttpAnswer answer = show(client, "wrong-3");
  CHECK(answer.status == 429);
  CHECK(answer.fields.at("retry-after") == "30");
  // The next guess costs another connection.
  CHECK(answer.fields.at("connection") == "close");
  CHECK(client.at_end());
  CHECK(show_anew("secret").status == 429);
  CHECK(show_anew("wrong-1").status == 401);

  options.grpc.gate = gate_with(ring, guesses);
  GrpcHouse grpc(options);
  GrpcClient caller(grpc.connect());
  const std::int32_t id =
      caller.ask(kModelInfer, infer_message({1, 2}), {{"authorization", "Bearer wrong-4"}});
  REQUIRE(caller.pump_closed(id));
  CHECK(caller.call(id).status() == 8);
  CHECK(caller.pump([&] { return caller.gone(); }));
  CHECK(caller.num_goaways() == 1);
  CHECK(caller.goaway_last() == id);
}

TEST_CASE("a guess on a connection that others share ends none of their calls") {
  DataPlaneOptions options;
  const auto ring = ring_with("secret", kAskedToInfer.bit());
  options.grpc.gate = gate_with(ring, std::make_shared<GuessLimit>(std::make_shared<FakeClock>(), 1));
  GrpcHouse grpc(options);
  GrpcClient caller(grpc.connect());
  const auto ask = [&](const std::string& key) {
    return caller.ask(kModelInfer, infer_message({1, 2}), {{"authorization", "Bearer " + key}});
  };
  grpc.echo.gate.shut();
  const std::int32_t good = ask("secret");
  REQUIRE(caller.pump([&] { return grpc.echo.gate.num_arrived() == 1; }));
  for (const char* key : {"wrong-1", "wrong-2"}) REQUIRE(caller.pump_closed(ask(key)));
  CHECK(caller.pump([&] { return caller.num_goaways() == 1; }));
  grpc.echo.gate.open();
  REQUIRE(caller.pump_closed(good));
  CHECK(caller.call(good).status() == 0);
  CHECK(caller.pump([&] { return caller.gone(); }));
}

TEST_CASE("a key that can't be checked opens nothing, and the connection lives on") {
  DataPlaneOptions options;
  const auto ring =
      std::make_shared<KeyRing>([](std::string_view) { return std::optional<ApiKey::Digest>(); });
  options.http.gate = gate_with(ring);
  SessionHouse house(options);
  HttpClient client = house.connect();
  const std::string text =
      "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nAuthorization: Bearer k\r\n\r\n{}";
  CHECK(client.ask(text).status == 503);
  CHECK(client.ask(text).status == 503);
  options.grpc.gate = gate_with(ring);
  GrpcHouse grpc(options);
  GrpcClient caller(grpc.connect());
  const std::int32_t id = caller.ask(kModelInfer, infer_message({1, 2}), {{"authorization", "Bearer k"}});
  REQUIRE(caller.pump_closed(id));
  CHECK(caller.call(id).status() == 14);
}

TEST_CASE("what is refused on OpenAI's paths is so in OpenAI's form") {
  DataPlaneOptions options;
  options.http.gate = AccessGate(RouteTable({{"/v1/{*}", ApiGroup::kOpenAi, {{"POST", true}}}}), {}, "API",
                                 ring_with("secret", 0), nullptr, 0);
  SessionHouse house(options);
  HttpClient client = house.connect();
  const std::string head = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
  HttpAnswer answer = client.ask(head + "\r\n{}");
  CHECK(answer.status == 401);
  CHECK(answer.body.find(R"({"error":{"message":")") == 0);
  answer = client.ask(head + "Authorization: Bearer secret\r\n\r\n{}");
  CHECK(answer.status == 403);
  CHECK(answer.body.find(R"("type":"request_forbidden")") != std::string::npos);
  answer = client.ask("POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(answer.body.find(R"({"error":"An API key)") == 0);
}

TEST_CASE("a gRPC call is refused from its head") {
  DataPlaneOptions options;
  options.grpc.gate = gate_with(ring_with("secret", Asked{ApiGroup::kHealth, false}.bit()));
  GrpcHouse house(options);
  GrpcClient client(house.connect());
  const auto status = [&](std::string_view path, const Fields& fields) {
    const std::int32_t id = client.ask(path, infer_message({1, 2}), fields);
    REQUIRE(client.pump_closed(id));
    return client.call(id).status();
  };
  CHECK(status(kModelInfer, {}) == 16);
  CHECK(status(kModelInfer, {{"authorization", "Bearer wrong"}}) == 16);
  CHECK(status(kModelInfer, {{"authorization", "Bearer secret"}}) == 7);
  CHECK(status("/inference.GRPCInferenceService/ModelStreamInfer", {}) == 16);
  CHECK(status("/a.b/c", {}) == 16);
}

}  // namespace naiad::test
