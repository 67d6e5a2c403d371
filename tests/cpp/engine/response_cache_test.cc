#include "engine/response_cache.h"

#include <doctest/doctest.h>

#include <set>
#include <thread>

#include "engine/engine.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::unique_ptr<Request> admitted(const std::shared_ptr<const ModelSpec>& spec,
                                  std::unique_ptr<Request> request) {
  REQUIRE(admit(spec, *request).ok());
  return request;
}

Response answer(float value, std::size_t count = 1) {
  Response response;
  const auto width = static_cast<std::int64_t>(count);
  response.outputs.push_back({0, floats(Shape{1, width}, std::vector<float>(count, value))});
  return response;
}

class Echo final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

Digest128 key(std::uint64_t number) {
  return {number, number};
}

}  // namespace

TEST_CASE("the key is of all that reaches the model") {
  ModelSpec model = row_model(8);
  model.inputs.push_back({"Z", DataType::kFp32, Shape{-1}, {}, true, {}});
  model.outputs.push_back({"W", DataType::kFp32, Shape{-1}, {}, false, {}});
  const auto spec = std::make_shared<const ModelSpec>(model);
  const ResponseCache cache(1 << 20);
  const auto key_of = [&](std::unique_ptr<Request> request, std::string_view mark = "1") {
    return cache.key_of(*admitted(spec, std::move(request)), mark);
  };
  std::set<Digest128> keys;
  CHECK(keys.insert(key_of(row_request(1, 2, 5))).second);
  CHECK_FALSE(keys.insert(key_of(row_request(1, 2, 5))).second);
  CHECK(keys.insert(key_of(row_request(1, 2, 6))).second);
  CHECK(keys.insert(key_of(row_request(2, 1, 5))).second);  // the same bytes in another shape
  CHECK(keys.insert(key_of(row_request(1, 2, 5), "2")).second);
  auto with = row_request(1, 2, 5);
  with->parameters.push_back({"a", std::int64_t{1}});
  CHECK(keys.insert(key_of(std::move(with))).second);
  with = row_request(1, 2, 5);
  with->parameters.push_back({"a", true});
  CHECK(keys.insert(key_of(std::move(with))).second);
  with = row_request(1, 2, 5);
  with->wanted_outputs.emplace_back().name = "Y";
  CHECK(keys.insert(key_of(std::move(with))).second);
  with = row_request(1, 2, 5);
  with->given_inputs[0].name = "X";
  with->given_inputs.push_back({"Z", floats(Shape{1, 2}, {5, 5})});
  CHECK(keys.insert(key_of(std::move(with))).second);
}

TEST_CASE("what was used least recently goes first, and the bound holds") {
  const std::size_t entry_bytes = ResponseCache::kEntryBytes + 4;
  ResponseCache cache(3 * entry_bytes);
  for (std::uint64_t i = 1; i <= 3; ++i) cache.insert(key(i), answer(static_cast<float>(i)));
  CHECK(cache.find(key(1)).has_value());
  cache.insert(key(4), answer(4));
  CHECK(cache.size_bytes() == 3 * entry_bytes);
  CHECK_FALSE(cache.find(key(2)).has_value());
  REQUIRE(cache.find(key(1)).has_value());
  CHECK(values_of(cache.find(key(1))->outputs[0].tensor) == std::vector<float>{1});
  cache.insert(key(5), answer(5, 1000));  // larger than all
  CHECK(cache.num_entries() == 3);
  Response failed;
  failed.status = {Code::kInternal, "no"};
  cache.insert(key(6), failed);
  CHECK_FALSE(cache.find(key(6)).has_value());
}

TEST_CASE("a model's answers are kept, and counted; another load of it does not see them") {
  Engine engine(std::make_unique<HeapPool>(), 0, 1 << 20);
  ModelSpec spec = row_model(8);
  spec.cached = true;
  RecordingSink sink;
  const auto ask = [&](float value) {
    auto request = row_request(1, 2, value);
    request->sink = &sink;
    const std::size_t before = sink.size();
    REQUIRE(engine.submit(request).ok());
    while (sink.size() == before) std::this_thread::yield();
  };
  for (int load = 0; load < 2; ++load) {
    auto model =
        engine.start(spec, [](const InstanceSpec&) { return std::make_unique<Echo>(); }, {{"m_0", {}}});
    engine.publish("m", {model});
    ask(5);
    ask(5);
    ask(6);
    ask(5);
    const StatisticsValues values = model->statistics();
    CHECK(values.cache_hit.count == 2);
    CHECK(values.cache_miss.count == 2);
    CHECK(values.success.count == 4);
    CHECK(values.inference_count == 2);
    engine.forget("m");
    engine.stop(*model, true);
  }
  for (const RecordingSink::Home& home : sink.homes()) {
    REQUIRE(home.response.status.ok());
    CHECK(values_of(home.response.outputs[0].tensor) == values_of(home.request->inputs[0]));
    CHECK(home.request->sink == &sink);
  }
  CHECK(engine.cache()->num_entries() == 4);
}
