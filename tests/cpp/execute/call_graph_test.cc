#include "execute/call_graph.h"

#include <doctest/doctest.h>

using namespace naiad;

namespace {

const CallGraph::Target kA{"a", 1};
const CallGraph::Target kB{"b", 1};
const CallGraph::Target kNative{"native", 1};

using Ticket = std::shared_ptr<const CallTicket>;

Code call(CallGraph& graph, std::uint64_t caller, std::vector<CallGraph::Target> targets, Ticket& ticket) {
  return graph.begin(caller, std::move(targets), ticket).code();
}

}  // namespace

TEST_CASE("an instance that calls its own model waits for another instance, or for ever") {
  CallGraph graph;
  const auto first = graph.add_instance(kA);
  Ticket ticket;
  CHECK(call(graph, first, {kA}, ticket) == Code::kUnavailable);
  CHECK(ticket == nullptr);
  const auto second = graph.add_instance(kA);
  CHECK(call(graph, first, {kA}, ticket) == Code::kOk);
  Ticket other;
  CHECK(call(graph, second, {kA}, other) == Code::kUnavailable);
  ticket.reset();  // the first has its answer
  CHECK(call(graph, second, {kA}, other) == Code::kOk);
}

TEST_CASE("two models that wait for one another: the second call is refused") {
  CallGraph graph;
  const auto a = graph.add_instance(kA);
  const auto b = graph.add_instance(kB);
  Ticket from_a;
  Ticket from_b;
  CHECK(call(graph, a, {kB}, from_a) == Code::kOk);
  CHECK(call(graph, b, {kA}, from_b) == Code::kUnavailable);
  CHECK(call(graph, b, {kNative}, from_b) == Code::kOk);
}

TEST_CASE("a call waits for the instance that runs it, whatever the others do") {
  CallGraph graph;
  const auto a = graph.add_instance(kA);
  const auto busy = graph.add_instance(kB);
  graph.add_instance(kB);  // idle, but the call is not with it
  Ticket from_a;
  Ticket from_b;
  REQUIRE(call(graph, a, {kB}, from_a) == Code::kOk);
  graph.running(busy, from_a->number());
  CHECK(call(graph, busy, {kA}, from_b) == Code::kUnavailable);
  graph.left(busy, from_a->number());  // its answer is on its way: a will be free
  CHECK(call(graph, busy, {kA}, from_b) == Code::kOk);
}

TEST_CASE("an ensemble's call waits for each model of its steps") {
  CallGraph graph;
  const auto a = graph.add_instance(kA);
  const auto b = graph.add_instance(kB);
  Ticket from_a;
  Ticket from_b;
  CHECK(call(graph, a, {kNative, kA}, from_a) == Code::kUnavailable);
  REQUIRE(call(graph, a, {kNative, kB}, from_a) == Code::kOk);
  graph.running(b, from_a->number());
  graph.left(b, from_a->number());  // that step is done
  CHECK(call(graph, b, {kA}, from_b) == Code::kOk);
}

TEST_CASE("who waits in threads that nobody waits for is in nobody's way") {
  CallGraph graph;
  graph.add_instance(kA);
  Ticket ticket;
  CHECK(call(graph, 0, {kA}, ticket) == Code::kOk);
  CHECK(call(graph, 0, {}, ticket) == Code::kOk);  // an unknown model: what refuses it is not the graph
}

TEST_CASE("an instance that has ended is out of the graph") {
  CallGraph graph;
  const auto a = graph.add_instance(kA);
  const auto gone = graph.add_instance(kB);
  Ticket from_a;
  Ticket from_gone;
  REQUIRE(call(graph, gone, {kNative}, from_gone) == Code::kOk);
  graph.running(gone, from_gone->number());
  graph.remove_instance(gone);
  graph.left(gone, from_gone->number());
  CHECK(call(graph, a, {kB}, from_a) == Code::kOk);
  from_gone.reset();
}
