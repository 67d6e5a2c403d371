#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/ensemble_scheduler.h"
#include "fakes/requests.h"
#include "request/response_window.h"

using namespace naiad;
using namespace naiad::test;

namespace {

// What the steps are submitted to: keeps them until the test answers.
struct FakeModels {
  Status submit(std::unique_ptr<Request>& request) {
    if (refuse == request->model_name) return {Code::kNotFound, "refused"};
    auto spec = std::make_shared<ModelSpec>();
    spec->name = std::string(request->model_name);
    for (const WantedOutput& output : request->wanted_outputs) {
      spec->outputs.push_back({std::string(output.name), DataType::kFp32, Shape{-1}, {}, false, {}});
    }
    request->spec = spec;
    order.push_back(spec->name);
    out.emplace(spec->name, std::move(request));
    return {};
  }
  std::unique_ptr<Request> take(const std::string& model) {
    auto node = out.extract(out.find(model));
    return std::move(node.mapped());
  }
  static Response values(const Request& request, float value) {
    Response response;
    for (std::size_t i = 0; i < request.spec->outputs.size(); ++i) {
      response.outputs.push_back({i, floats(Shape{1, 1}, {value + static_cast<float>(i)})});
    }
    return response;
  }
  void answer(const std::string& model, float value, const ComputeTimes& computed = {}) {
    auto request = take(model);
    request->computed.add(computed);
    Response response = values(*request, value);
    CompletionSink* const sink = request->sink;
    sink->complete(std::move(request), std::move(response));
  }
  void fail(const std::string& model, const std::string& why) {
    auto request = take(model);
    CompletionSink* const sink = request->sink;
    Response response;
    response.status = {Code::kInternal, why};
    sink->complete(std::move(request), std::move(response));
  }

  std::multimap<std::string, std::unique_ptr<Request>> out;
  std::vector<std::string> order;
  std::string refuse;
};

// Tensors by name: those of `steps` in the form model: in, in -> out, out.
struct Graph {
  std::size_t tensor(const std::string& name) {
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
      if (plan.tensors[i] == name) return i;
    }
    plan.tensors.push_back(name);
    return plan.tensors.size() - 1;
  }
  void step(const std::string& model, const std::vector<std::string>& in,
            const std::vector<std::string>& out) {
    EnsemblePlan::Step made;
    made.model = model;
    for (const auto& name : in) made.inputs.push_back({"i" + name, tensor(name), false});
    for (const auto& name : out) made.outputs.push_back({"o" + name, tensor(name), false});
    plan.steps.push_back(std::move(made));
  }
  EnsemblePlan plan;
};

struct House {
  // From X to Y.
  explicit House(Graph graph, bool decoupled = false) {
    ModelSpec made = row_model(8);
    made.name = "e";
    made.decoupled = decoupled;
    made.outputs.push_back({"Z", DataType::kFp32, Shape{-1}, {}, false, {}});
    spec = std::make_shared<const ModelSpec>(std::move(made));
    graph.plan.inputs = {graph.tensor("X")};
    graph.plan.outputs = {graph.tensor("Y"), graph.tensor("Z")};
    scheduler = std::make_unique<EnsembleScheduler>(
        *spec, std::move(graph.plan),
        EnsembleRun::Models{[this](std::unique_ptr<Request>& request) { return models.submit(request); }},
        clock, statistics);
  }
  Request* ask(std::vector<bool> wanted = {true, false}) {
    auto request = row_request(1, 1, 1);
    REQUIRE(admit(spec, *request).ok());
    request->wanted = std::move(wanted);
    request->sink = &sink;
    Request* const raw = request.get();
    REQUIRE(scheduler->try_submit(request).ok());
    return raw;
  }
  float value(std::size_t home = 0, std::size_t output = 0) {
    return values_of(sink.homes().at(home).response.outputs.at(output).tensor).at(0);
  }

  std::shared_ptr<const ModelSpec> spec;
  FakeModels models;
  SteadyClock clock;
  std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
  RecordingSink sink;
  std::unique_ptr<EnsembleScheduler> scheduler;
};

Graph diamond() {
  Graph graph;
  graph.step("join", {"a", "b"}, {"Y"});  // listed before those that it waits for
  graph.step("left", {"X"}, {"a"});
  graph.step("right", {"X"}, {"b"});
  return graph;
}

}  // namespace

TEST_CASE("ensemble: the times of its steps are summed, and known to an ensemble around it") {
  House house(diamond());
  house.ask();
  house.models.answer("right", 5, {.input_ns = 1, .infer_ns = 20, .output_ns = 300});
  house.models.answer("left", 3, {.input_ns = 4, .infer_ns = 50, .output_ns = 600});
  house.models.answer("join", 9, {.input_ns = 7, .infer_ns = 80, .output_ns = 900});
  const StatisticsValues values = house.statistics->values();
  CHECK(values.compute_input.total_ns == 12);
  CHECK(values.compute_infer.total_ns == 150);
  CHECK(values.compute_output.total_ns == 1800);
  CHECK(values.batches.at(1).compute_output.total_ns == 1800);
  CHECK(house.sink.homes().at(0).request->computed.total_ns() == 1962);
}

TEST_CASE("ensemble: steps run when what they read is there, side by side where they can") {
  House house(diamond());
  house.ask();
  CHECK(house.models.order == std::vector<std::string>{"left", "right"});
  CHECK(house.models.out.find("left")->second->given_inputs[0].name == "iX");
  house.models.answer("right", 5);
  CHECK(house.models.out.size() == 1);
  house.models.answer("left", 3);
  REQUIRE(house.models.out.count("join") == 1);
  const Request& join = *house.models.out.find("join")->second;
  CHECK(values_of(join.given_inputs[0].tensor) == std::vector<float>{3});
  CHECK(values_of(join.given_inputs[1].tensor) == std::vector<float>{5});
  CHECK(house.sink.size() == 0);
  house.models.answer("join", 9);
  REQUIRE(house.sink.size() == 1);
  CHECK(house.value() == 9);
  CHECK(house.statistics->values().success.count == 1);
  CHECK(house.statistics->values().batches.at(1).compute_infer.count == 1);
}

TEST_CASE("ensemble: tensors are handed on, not copied") {
  Graph graph;
  graph.step("one", {"X"}, {"a"});
  graph.step("two", {"a"}, {"Y"});
  House house(std::move(graph));
  house.ask();
  auto request = house.models.take("one");
  Response response = FakeModels::values(*request, 1);
  const std::byte* const made = response.outputs[0].tensor.data;
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
  CHECK(house.models.out.find("two")->second->given_inputs[0].tensor.data == made);
  house.models.answer("two", 1);
}

TEST_CASE(
    "ensemble: a failure names ensemble, step and cause, cancels its siblings, and is answered when they are "
    "home") {
  House house(diamond());
  house.ask();
  house.models.fail("left", "broken");
  CHECK(house.sink.size() == 0);
  CHECK(house.models.out.find("right")->second->is_cancelled());
  house.models.answer("right", 5);
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.message() == "in ensemble 'e', step 1 ('left'): broken");
  CHECK(house.models.order.size() == 2);
  CHECK(house.statistics->values().fail.count == 1);
}

TEST_CASE("ensemble: a step that is refused fails the request") {
  House house(diamond());
  house.models.refuse = "right";
  house.ask();
  house.models.answer("left", 5);
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.message() == "in ensemble 'e', step 2 ('right'): refused");
}

TEST_CASE("ensemble: a client that goes cancels the steps, and no more are begun") {
  House house(diamond());
  Request* const request = house.ask();
  request->cancelled.store(true);
  CHECK(house.models.out.find("right")->second->is_cancelled());
  house.models.answer("left", 5);
  house.models.answer("right", 5);
  CHECK(house.models.order.size() == 2);
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.code() == Code::kCancelled);
}

TEST_CASE("ensemble: a step runs when its condition holds; what it would have made is absent") {
  const auto with_condition = [] {
    Graph graph;
    graph.step("flag", {"X"}, {"f"});
    graph.step("maybe", {"X"}, {"Y"});
    graph.plan.steps[1].when = EnsemblePlan::Condition{graph.tensor("f"), true};
    graph.step("behind", {"Y"}, {"Z"});
    return graph;
  };
  const auto answer_flag = [](House& house, bool value) {
    auto request = house.models.take("flag");
    BufferRef block = make_heap_buffer(1);
    block->data()[0] = static_cast<std::byte>(value);
    Response response;
    response.outputs.push_back({0, {DataType::kBool, Shape{1, 1}, block->data(), 1, block}});
    CompletionSink* const sink = request->sink;
    sink->complete(std::move(request), std::move(response));
  };
  House runs(with_condition());
  runs.ask();
  CHECK(runs.models.order == std::vector<std::string>{"flag"});
  answer_flag(runs, true);
  runs.models.answer("maybe", 4);
  runs.models.answer("behind", 4);
  CHECK(runs.value() == 4);

  House skips(with_condition());
  skips.ask({true, true});
  answer_flag(skips, false);
  REQUIRE(skips.sink.size() == 1);
  CHECK(skips.models.order == std::vector<std::string>{"flag"});
  CHECK(skips.sink.homes()[0].response.status.ok());
  CHECK(skips.sink.homes()[0].response.outputs.empty());

  House named(with_condition());
  Request* const request = named.ask();
  request->wanted_outputs.push_back({"Y", 0, {}});
  answer_flag(named, false);
  CHECK(named.sink.homes()[0].response.status.message() ==
        "in ensemble 'e', output 'Y' was not made: the step that makes it was skipped");
}

TEST_CASE("ensemble: each response of a decoupled step goes on, in order; others' tensors are there once") {
  Graph graph;
  graph.step("many", {"X"}, {"v"});
  graph.step("side", {"X"}, {"s"});
  graph.step("aside", {"s"}, {"t"});
  graph.step("last", {"v", "t"}, {"Y"});
  House house(std::move(graph), true);
  house.ask();
  auto many = house.models.take("many");
  many->window = std::make_shared<ResponseWindow>();
  const auto respond = [&](float value) {
    Response response = FakeModels::values(*many, value);
    many->window->sent(response.size_bytes());
    many->sink->respond(*many, std::move(response));
  };
  respond(1);
  respond(2);
  CHECK(house.models.out.count("last") == 0);
  house.models.answer("side", 50);
  CHECK(house.models.out.count("aside") == 1);  // once, for all
  house.models.answer("aside", 60);
  CHECK(house.models.out.count("last") == 2);
  respond(3);
  CHECK(house.models.out.count("last") == 3);
  CompletionSink* const sink = many->sink;
  Response end;
  end.is_empty = true;
  sink->complete(std::move(many), std::move(end));
  // The second one first: it waits for its turn.
  std::vector<std::unique_ptr<Request>> lasts;
  while (house.models.out.count("last") != 0) lasts.push_back(house.models.take("last"));
  const auto finish = [&](std::size_t i) {
    const float v = values_of(lasts[i]->given_inputs[0].tensor)[0];
    CHECK(values_of(lasts[i]->given_inputs[1].tensor)[0] == 60);
    Response response = FakeModels::values(*lasts[i], v * 10);
    CompletionSink* const home = lasts[i]->sink;
    home->complete(std::move(lasts[i]), std::move(response));
  };
  finish(1);
  CHECK(house.sink.responses().empty());
  finish(0);
  CHECK(house.sink.responses().size() == 2);
  CHECK(house.sink.size() == 0);
  finish(2);
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.is_empty);
  std::vector<float> given;
  for (const Response& response : house.sink.responses())
    given.push_back(values_of(response.outputs[0].tensor)[0]);
  CHECK(given == std::vector<float>{10, 20, 30});
}

TEST_CASE("ensemble: no more of a step are out than the limit says") {
  Graph graph;
  graph.step("many", {"X"}, {"v"});
  graph.step("last", {"v"}, {"Y"});
  graph.plan.max_inflight_requests = 2;
  House house(std::move(graph), true);
  house.ask();
  auto many = house.models.take("many");
  many->window = std::make_shared<ResponseWindow>();
  for (int i = 0; i < 5; ++i) {
    many->window->sent(4);
    many->sink->respond(*many, FakeModels::values(*many, static_cast<float>(i)));
  }
  CHECK(house.models.out.count("last") == 2);
  house.models.answer("last", 0);
  CHECK(house.models.out.count("last") == 2);
  for (int i = 0; i < 4; ++i) house.models.answer("last", 0);
  CHECK(house.sink.responses().size() == 5);
  CompletionSink* const sink = many->sink;
  Response end;
  end.is_empty = true;
  sink->complete(std::move(many), std::move(end));
  CHECK(house.sink.size() == 1);
}

TEST_CASE("ensemble: every order of completion gives the same answer") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Graph graph;
    graph.step("a", {"X"}, {"ta"});
    graph.step("b", {"X"}, {"tb"});
    graph.step("c", {"ta", "tb"}, {"tc"});
    graph.step("d", {"tb"}, {"td", "Z"});
    graph.step("e", {"tc", "td"}, {"Y"});
    House house(std::move(graph));
    const bool fails = seed % 3 == 0;
    house.ask({true, true});
    std::size_t answered = 0;
    while (!house.models.out.empty()) {
      auto at = house.models.out.begin();
      std::advance(at, static_cast<long>(random() % house.models.out.size()));
      const std::string model = at->first;
      ++answered;
      if (fails && model == "d") {
        house.models.fail(model, "no");
      } else {
        house.models.answer(model, static_cast<float>(model[0]));
      }
    }
    REQUIRE(house.sink.size() == 1);
    CHECK(house.sink.homes()[0].response.status.ok() == !fails);
    if (!fails) {
      CHECK(answered == 5);
      CHECK(house.value(0, 0) == static_cast<float>('e'));
      CHECK(house.value(0, 1) == static_cast<float>('d') + 1);
    }
    house.scheduler->close(true);
    house.scheduler->wait_ended();
  }
}
