#include "protocol/route_table.h"

#include <doctest/doctest.h>

#include "base/error.h"

namespace naiad {
namespace {

RouteTable table() {
  return RouteTable({
      {"/v2", ApiGroup::kMetadata, {{"GET", false}}},
      {"/v2/models/stats", ApiGroup::kStatistics, {{"GET", false}}},
      {"/v2/models/{model}", ApiGroup::kMetadata, {{"GET", false}}},
      {"/v2/models/{model}/versions/{version}/infer", ApiGroup::kInference, {{"POST", true}}},
      {"/v2/logging", ApiGroup::kLogging, {{"GET", false}, {"POST", true}}},
  });
}

std::size_t row_of(std::string_view path) {
  std::vector<std::string_view> names;
  return table().find(path, names);
}

}  // namespace

TEST_CASE("the first row that fits counts, with what stands for its names") {
  const RouteTable routes = table();
  std::vector<std::string_view> names;
  CHECK(routes.find("/v2/models/stats", names) == 1);
  CHECK(names.empty());
  CHECK(routes.find("/v2/models/a%2Fb?x=/y", names) == 2);
  CHECK(names == std::vector<std::string_view>{"a%2Fb"});
  CHECK(routes.find("/v2/models/m/versions/12/infer", names) == 3);
  CHECK(names == std::vector<std::string_view>{"m", "12"});
}

TEST_CASE("another spelling is another path") {
  for (const std::string_view path :
       {"", "v2", "/", "//v2", "/v2/", "/V2", "/v2/models", "/v2/models/", "/v2/models/m/", "/v2/models//m",
        "/v2/models/m/versions/-x/infer", "/v2/models/m/versions//infer", "/v2/models/m/versions/1/infer/",
        "/v2/models/m/versions/1/INFER", "/v2/./logging", "/v2/logging;x", "/v2%2flogging", "*"}) {
    CAPTURE(path);
    CHECK(row_of(path) == RouteTable::kNone);
    CHECK(table().asked(path, "GET").group == ApiGroup::kUnknown);
  }
}

TEST_CASE("a method that a row does not have asks for the most that it has") {
  const RouteTable routes = table();
  CHECK_FALSE(routes.asked("/v2/logging", "GET").changes);
  CHECK(routes.asked("/v2/logging", "POST").changes);
  CHECK(routes.asked("/v2/logging", "BREW").changes);
  CHECK(routes.asked("/v2/logging", "get").changes);
  CHECK_FALSE(routes.asked("/v2", "DELETE").changes);
  CHECK(routes.asked("/v2", "DELETE").group == ApiGroup::kMetadata);
}

TEST_CASE("a last segment may stand for all that is left") {
  const RouteTable routes({{"/v1/{*}", ApiGroup::kOpenAi, {{"GET", false}}}});
  for (const std::string_view path : {"/v1/a", "/v1/a/b", "/v1//", "/v1/%2f?x"}) {
    CHECK(routes.asked(path, "GET").group == ApiGroup::kOpenAi);
  }
  for (const std::string_view path : {"/v1", "/v1/", "/v1?/a", "/V1/a", "//v1/a"}) {
    CHECK(routes.asked(path, "GET").group == ApiGroup::kUnknown);
  }
}

TEST_CASE("a path begins with a slash") {
  CHECK_THROWS_AS(RouteTable({{"v2", ApiGroup::kHealth, {}}}), Error);
  CHECK_THROWS_AS(RouteTable({{"", ApiGroup::kHealth, {}}}), Error);
}

}  // namespace naiad
