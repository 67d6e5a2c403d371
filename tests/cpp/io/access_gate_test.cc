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

AccessGate gate_with(std::shared_ptr<KeyRing> ring) {
  return AccessGate(RouteTable({{"/v2/health/live", ApiGroup::kHealth, {{"GET", false}}}}), {}, "API",
                    std::move(ring), Asked{ApiGroup::kHealth, false}.bit());
}

}  // namespace

TEST_CASE("a key is found by its digest, and no more once it is replaced") {
  const auto ring = ring_with("secret", 5);
  REQUIRE(ring->find("secret"));
  CHECK(ring->find("secret")->name == "tester");
  CHECK(ring->find("secret")->permissions == 5);
  for (const std::string_view other : {"", "secre", "secret ", "Secret"}) CHECK_FALSE(ring->find(other));
  ring->replace({});
  CHECK_FALSE(ring->find("secret"));
}

TEST_CASE("an open gate reads nothing and refuses nothing") {
  const AccessGate gate;
  CHECK_FALSE(gate.is_closed());
  CHECK_FALSE(gate.reads("authorization"));
  CHECK(gate.check(kAskedToInfer, {}).allowed());
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
