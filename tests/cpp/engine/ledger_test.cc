// A ledger: every request of a crowd, half of them cancelled at random moments, ends exactly once, as the
// right answer, as a typed error, or as cancelled; and nothing of it is left anywhere. NAIAD_LEDGER says how
// many
// (`make soak`: a million).

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::uint64_t num_requests() {
  const char* const text = std::getenv("NAIAD_LEDGER");
  return text == nullptr ? 40'000 : std::stoull(text);
}

// Y = X + 1, now and then after a while, now and then a failure.
class AddOne final : public Backend {
 public:
  void execute(Execution& execution) override {
    if (++num_batches_ % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    const Tensor x = execution.input(0);
    std::vector<float> values = values_of(x);
    for (float& value : values) value += 1;
    BufferRef out = execution.allocate(x.size_bytes);
    std::memcpy(out->data(), values.data(), x.size_bytes);
    execution.output(0, {x.dtype, x.shape, out->data(), x.size_bytes, out});
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      if (execution.request(k).is_filler) continue;
      const float own = values_of(execution.request(k).inputs[0]).at(0);
      if (static_cast<int>(own) % 97 == 0) execution.fail(k, {Code::kInternal, "every 97th"});
    }
  }

 private:
  std::uint64_t num_batches_ = 0;
};

enum Outcome : unsigned char { kOpen, kRight, kFailed, kCancelled, kRefused };

struct Ledger final : CompletionSink {
  explicit Ledger(std::size_t size) : outcomes(size), scopes(size) {}

  void respond(const Request&, Response) noexcept override {}
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    const std::uint64_t id = request->tag;
    const Status& status = response.status;
    if (status.ok()) {
      const auto values =
          response.outputs.empty() ? std::vector<float>{} : values_of(response.outputs[0].tensor);
      const bool right = values.size() == 1 && values[0] == expected(id);
      enter(id, right ? kRight : kOpen);
    } else if (status.code() == Code::kCancelled) {
      enter(id, scopes[id].set.load() ? kCancelled : kOpen);
    } else {
      enter(id, kFailed);
    }
    --num_out;
  }
  // kOpen: what came is wrong.
  void enter(std::uint64_t id, Outcome outcome) {
    if (outcome == kOpen) ++num_wrong;
    if (outcomes[id].exchange(outcome) != kOpen) ++num_doubled;
  }
  // What the model makes of it: of cached and plain ones, and of both steps of the ensemble.
  static float value(std::uint64_t id) { return static_cast<float>(id % 50'000); }
  static float expected(std::uint64_t id) { return value(id) + (id % 4 == 3 ? 2.0F : 1.0F); }

  std::vector<std::atomic<unsigned char>> outcomes;
  std::vector<CancelScope> scopes;
  std::atomic<std::size_t> num_out{0};
  std::atomic<std::size_t> num_wrong{0};
  std::atomic<std::size_t> num_doubled{0};
};

ModelSpec model(const std::string& name) {
  ModelSpec spec = row_model(8);
  spec.name = name;
  spec.batching.dynamic = true;
  spec.max_queue_size = 512;
  return spec;
}

EnsemblePlan twice() {
  EnsemblePlan plan;
  plan.tensors = {"X", "between", "Y"};
  plan.inputs = {0};
  plan.outputs = {2};
  plan.steps.push_back({"plain", "", {{"X", 0, false}}, {{"Y", 1, false}}, {}});
  plan.steps.push_back({"plain", "", {{"X", 1, false}}, {{"Y", 2, false}}, {}});
  return plan;
}

void start(Engine& engine, ModelSpec spec, std::size_t num_instances) {
  std::vector<InstancePlan> plans;
  for (std::size_t i = 0; i < num_instances; ++i) plans.push_back({spec.name + std::to_string(i), {}});
  const std::string name = spec.name;
  const auto factory = [](const InstanceSpec&) { return std::make_unique<AddOne>(); };
  engine.publish(name, {engine.start(std::move(spec), factory, plans)});
}

constexpr std::array kNames = {"plain", "ordered", "sequences", "twice"};

}  // namespace

TEST_CASE("ledger: each of a crowd ends once, right, failed or cancelled, and nothing is left") {
  const std::uint64_t count = num_requests();
  Ledger ledger(count);
  auto owned = std::make_unique<HeapPool>();
  const HeapPool& pool = *owned;
  Engine engine(std::move(owned), Engine::kInlineLimitNs, 1 << 16);
  start(engine, model("plain"), 2);
  ModelSpec ordered = model("ordered");
  ordered.batching.preserve_ordering = true;
  ordered.batching.levels = {{}, {false, 0, true, 256}};
  ordered.cached = true;
  start(engine, ordered, 2);
  ModelSpec sequences = model("sequences");
  SequenceSpec sequence;
  sequence.direct = false;
  sequence.max_candidates = 8;
  sequences.sequence = std::make_shared<const SequenceSpec>(sequence);
  start(engine, sequences, 2);
  ModelSpec ensemble = model("twice");
  ensemble.batching.dynamic = false;
  engine.publish("twice", {engine.start_ensemble(ensemble, twice())});

  constexpr std::uint64_t kClients = 3;
  std::atomic<std::uint64_t> last_sent{0};
  std::atomic<bool> all_sent{false};
  {
    std::jthread canceller([&] {
      std::mt19937_64 random(7);
      while (!all_sent) {
        const std::uint64_t newest = last_sent.load();
        // Around those that were sent last: some wait, some run, some are home.
        const std::uint64_t id = newest + 8 - std::min<std::uint64_t>(newest + 8, random() % 64);
        if (id < count && id % 2 == 0) ledger.scopes[id].set.store(true);
      }
    });
    std::vector<std::jthread> clients;
    for (std::uint64_t client = 0; client < kClients; ++client) {
      clients.emplace_back([&, client] {
        for (std::uint64_t id = client; id < count; id += kClients) {
          auto request = row_request(1, 1, Ledger::value(id));
          request->model_name = kNames[id % 4];
          request->tag = id;
          request->scope = &ledger.scopes[id];
          request->sink = &ledger;
          request->priority = id % 3;
          request->sequence_id = id + 1;
          request->sequence_start = true;
          request->sequence_end = true;
          if (id % 11 == 0) request->timeout_us = 300;
          ++ledger.num_out;
          last_sent.store(id);
          if (const Status status = engine.submit(request); !status.ok()) {
            ledger.enter(id, status.code() == Code::kUnavailable ? kRefused : kOpen);
            --ledger.num_out;
            std::this_thread::yield();
          }
        }
      });
    }
    clients.clear();
    all_sent = true;
  }
  while (ledger.num_out > 0) std::this_thread::yield();

  std::array<std::uint64_t, 5> tally{};
  for (const auto& outcome : ledger.outcomes) ++tally[outcome];
  CHECK(tally[kOpen] == 0);
  CHECK(ledger.num_wrong == 0);
  CHECK(ledger.num_doubled == 0);
  // Every model has its right ones: the ensemble, too.
  for (std::uint64_t kind = 0; kind < kNames.size(); ++kind) {
    std::uint64_t num_right = 0;
    for (std::uint64_t id = kind; id < count; id += kNames.size()) num_right += ledger.outcomes[id] == kRight;
    CHECK(num_right > 0);
  }
  CHECK(tally[kFailed] > 0);
  CHECK(tally[kCancelled] > 0);
  MESSAGE("right ", tally[kRight], ", failed ", tally[kFailed], ", cancelled ", tally[kCancelled],
          ", refused ", tally[kRefused]);
  engine.close();
  // What is left in the pool nothing but the cache could hold, and that has its own memory.
  CHECK(pool.usage().used_bytes == 0);
}
