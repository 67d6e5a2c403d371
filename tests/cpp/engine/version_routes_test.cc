#include "engine/version_routes.h"

#include <doctest/doctest.h>

#include <map>

#include "engine/engine.h"
#include "fakes/requests.h"

using namespace naiad;
using naiad::test::RecordingSink;
using naiad::test::row_model;
using naiad::test::row_request;

namespace {

class Echo final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

struct House {
  Engine engine{make_arena_pool(64 << 20)};
  RecordingSink sink;
  std::map<std::int64_t, std::shared_ptr<Model>> models;

  explicit House(std::optional<VersionRoutes> routes) {
    std::vector<std::shared_ptr<Model>> all;
    for (std::int64_t version = 1; version <= 3; ++version) {
      ModelSpec spec = row_model(8);
      spec.version = version;
      const BackendFactory echo = [](const InstanceSpec&) { return std::make_unique<Echo>(); };
      models[version] = engine.start(spec, echo, {{"m_0", {}}});
      all.push_back(models[version]);
    }
    engine.publish("m", all, std::move(routes));
  }

  Status submit(std::string_view version, std::uint64_t sequence = 0) {
    auto request = row_request(1, 2, 1);
    request->model_version = version;
    request->sequence_id = sequence;
    request->sink = &sink;
    return engine.submit(request);
  }
  // How many requests each version has had, once all is done.
  std::map<std::int64_t, std::uint64_t> counts() {
    std::map<std::int64_t, std::uint64_t> counts;
    for (const auto& [version, model] : models) {
      engine.stop(*model, true);
      counts[version] = model->statistics().success.count;
    }
    return counts;
  }
};

using Counts = std::map<std::int64_t, std::uint64_t>;

}  // namespace

TEST_CASE("a label is a version's name, and says nothing about requests without one") {
  House house(VersionRoutes{{{"stable", 1}, {"canary", 2}}, {}, {}, 100});
  REQUIRE(house.submit("stable").ok());
  REQUIRE(house.submit("canary").ok());
  REQUIRE(house.submit("2").ok());
  REQUIRE(house.submit("").ok());
  const Status status = house.submit("nightly");
  CHECK(status.code() == Code::kNotFound);
  CHECK(status.message() == "Request for unknown model: 'm' has no version with the label 'nightly'");
  CHECK(house.submit("1x").code() == Code::kInvalidArgument);
  CHECK(house.counts() == Counts{{1, 1}, {2, 2}, {3, 1}});
}

TEST_CASE("without routes a label is no version") {
  House house(std::nullopt);
  CHECK(house.submit("stable").code() == Code::kInvalidArgument);
  REQUIRE(house.submit("").ok());
  CHECK(house.counts() == Counts{{1, 0}, {2, 0}, {3, 1}});
}

TEST_CASE("requests are split by weight, evenly along the way") {
  House house(VersionRoutes{{}, {{1, 9}, {2, 1}}, {}, 100});
  for (int i = 0; i < 50; ++i) REQUIRE(house.submit("").ok());
  const Counts counts = house.counts();
  CHECK(counts.at(1) + counts.at(2) == 50);
  CHECK(counts.at(2) >= 4);
  CHECK(counts.at(2) <= 6);
  CHECK(counts.at(3) == 0);
}

TEST_CASE("a sequence stays with its version") {
  const VersionRouter router(VersionRoutes{{}, {{1, 1}, {2, 1}}, {}, 100});
  Counts counts;
  for (std::uint64_t sequence = 1; sequence <= 100; ++sequence) {
    Request request;
    request.sequence_id = sequence;
    const auto first = router.draw(request);
    for (int i = 0; i < 5; ++i) CHECK(router.draw(request) == first);
    ++counts[*first];
  }
  CHECK(counts[1] >= 40);
  CHECK(counts[2] >= 40);
}

TEST_CASE("a shadow gets copies and answers nobody") {
  House house(VersionRoutes{{}, {{1, 1}}, 3, 100});
  for (int i = 0; i < 20; ++i) REQUIRE(house.submit("").ok());
  REQUIRE(house.submit("2").ok());
  CHECK(house.counts() == Counts{{1, 20}, {2, 1}, {3, 20}});
  CHECK(house.sink.size() == 21);
}

TEST_CASE("a share of the requests is shadowed") {
  House house(VersionRoutes{{}, {{1, 1}}, 2, 25});
  for (int i = 0; i < 40; ++i) REQUIRE(house.submit("").ok());
  const Counts counts = house.counts();
  CHECK(counts.at(1) == 40);
  CHECK(counts.at(2) >= 8);
  CHECK(counts.at(2) <= 12);
}

TEST_CASE("routes to a version that is not served are refused, and those before hold") {
  House house(VersionRoutes{{{"stable", 1}}, {}, {}, 100});
  const auto publish = [&](VersionRoutes routes) {
    house.engine.publish("m", {house.models[1], house.models[2]}, std::move(routes));
  };
  CHECK_THROWS_AS(publish({{{"stable", 3}}, {}, {}, 100}), Error);
  CHECK_THROWS_AS(publish({{}, {{3, 1}}, {}, 100}), Error);
  CHECK_THROWS_AS(publish({{}, {}, 3, 100}), Error);
  REQUIRE(house.submit("stable").ok());
  REQUIRE(house.submit("3").ok());
  publish({{{"stable", 2}}, {}, {}, 100});
  REQUIRE(house.submit("stable").ok());
  CHECK(house.counts() == Counts{{1, 1}, {2, 1}, {3, 1}});
}
