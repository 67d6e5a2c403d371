#include "protocol/header_forward.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/request_parameter.h"

using namespace naiad;

TEST_CASE("fields in whose names the pattern is found become parameters") {
  const HeaderForward forward("fwd-.*");
  CHECK(forward.matches("Fwd-A"));
  CHECK(forward.matches("x-FWD-b"));
  CHECK_FALSE(forward.matches("fwd"));
  Request request;
  CHECK(forward.add("X-Fwd-A", "1", request).ok());
  CHECK(forward.add("other", "2", request).ok());
  CHECK(forward.add("X-Fwd-A", "3", request).ok());
  REQUIRE(request.parameters.size() == 1);
  CHECK(request.parameters[0].name == "X-Fwd-A");
  CHECK(std::get<std::string>(request.parameters[0].value) == "3");
}

TEST_CASE("case counts where that is asked for; none is forwarded without a pattern") {
  CHECK_FALSE(HeaderForward("(?-i)fwd").matches("FWD"));
  CHECK(HeaderForward("(?i)fwd").matches("FWD"));
  CHECK_FALSE(HeaderForward().matches("fwd"));
  CHECK_FALSE(HeaderForward("").forwards_any());
  CHECK_FALSE(HeaderForward(".*").matches(std::string(10'000, 'a')));
}

TEST_CASE("what is no expression, and names with a meaning, are refused") {
  CHECK_THROWS_AS(HeaderForward("(fwd"), Error);
  Request request;
  const HeaderForward all(".*");
  CHECK(all.add("priority", "u=1", request).code() == Code::kInvalidArgument);
  CHECK(all.add("triton_x", "1", request).code() == Code::kInvalidArgument);
  CHECK(request.parameters.empty());
}

TEST_CASE("fields that become parameters are bounded") {
  Request request;
  const HeaderForward all(".*");
  for (std::size_t i = 0; i < kMaxParameters; ++i)
    REQUIRE(all.add("x-" + std::to_string(i), "1", request).ok());
  CHECK(all.add("x-more", "1", request).code() == Code::kInvalidArgument);
  CHECK(request.parameters.size() == kMaxParameters);
}
