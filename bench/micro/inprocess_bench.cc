// One request through the whole core and back: admission, queue, batch loop, identity, completion. In one
// process, without a wire. Prints
//   the round trip of one request at a time (p50, p99 in us),
//   requests per second with `kWindow` requests out, batched, one client thread and one instance,
// first with every request going through the queue to the instance's thread, then with short ones run by the
// thread that submits them.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "backends/identity.h"
#include "engine/engine.h"
#include "queue/completion_queue.h"
#include "queue/parker.h"

namespace {

using namespace naiad;

constexpr std::size_t kNumFloats = 16;
constexpr std::size_t kRoundTrips = 200'000;
constexpr std::size_t kBatched = 2'000'000;
constexpr std::size_t kWindow = 256;
constexpr int kRepeats = 5;

std::uint64_t now_ns() {
  return SteadyClock().now_ns();
}

ModelSpec identity_model(bool dynamic) {
  ModelSpec spec;
  spec.name = dynamic ? "batching" : "single";
  spec.max_batch_size = 64;
  spec.inputs.push_back({"INPUT0", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"OUTPUT0", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.batching.dynamic = dynamic;
  spec.max_queue_size = 8192;
  return spec;
}

// Where answers come home to a thread that waits for them.
class Home final : public CompletionSink {
 public:
  void respond(const Request&, Response) noexcept override {}  // no model here responds twice
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    queue_.push({std::move(request), std::move(response)});
    parker_.notify_one();
  }

  // Takes all that has come; blocks until there is something.
  std::size_t take() {
    for (;;) {
      if (const std::size_t count = drain()) return count;
      const Parker::Ticket ticket = parker_.prepare();
      if (const std::size_t count = drain()) {
        parker_.cancel(ticket);
        return count;
      }
      parker_.wait(ticket);
    }
  }

 private:
  std::size_t drain() {
    queue_.drain(taken_);
    const std::size_t count = taken_.size();
    taken_.clear();
    return count;
  }

  CompletionQueue<std::pair<std::unique_ptr<Request>, Response>> queue_;
  std::vector<std::pair<std::unique_ptr<Request>, Response>> taken_;
  Parker parker_{Parker::patient_spins()};
};

std::unique_ptr<Request> make_request(const char* model, TensorPool& pool, CompletionSink& home) {
  auto request = std::make_unique<Request>();
  request->model_name = model;
  BufferRef block = pool.try_allocate(kNumFloats * sizeof(float));
  std::memset(block->data(), 0, block->size_bytes());
  request->given_inputs.push_back(
      {"INPUT0",
       {DataType::kFp32, Shape{1, kNumFloats}, block->data(), block->size_bytes(), std::move(block)}});
  request->sink = &home;
  return request;
}

void must(const Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::abort();
  }
}

void round_trips(Engine& engine, Home& home) {
  std::vector<double> times_us;
  times_us.reserve(kRoundTrips);
  for (std::size_t i = 0; i < kRoundTrips; ++i) {
    const std::uint64_t start_ns = now_ns();
    auto request = make_request("single", engine.pool(), home);
    must(engine.submit(request));
    home.take();
    times_us.push_back(static_cast<double>(now_ns() - start_ns) / 1e3);
  }
  std::ranges::sort(times_us);
  std::printf("round trip            p50 %6.2f us   p99 %7.2f us\n", times_us[kRoundTrips / 2],
              times_us[kRoundTrips * 99 / 100]);
}

void batched(Engine& engine, Home& home, const Model& model) {
  const StatisticsValues before = model.statistics();
  const std::uint64_t start_ns = now_ns();
  std::size_t sent = 0;
  std::size_t done = 0;
  while (done < kBatched) {
    while (sent < kBatched && sent - done < kWindow) {
      auto request = make_request("batching", engine.pool(), home);
      must(engine.submit(request));
      ++sent;
    }
    done += home.take();
  }
  const double seconds = static_cast<double>(now_ns() - start_ns) / 1e9;
  const StatisticsValues after = model.statistics();
  std::printf("batched, %zu out      %9.0f requests/s   mean batch %.1f\n", kWindow,
              static_cast<double>(kBatched) / seconds,
              static_cast<double>(after.inference_count - before.inference_count) /
                  static_cast<double>(after.execution_count - before.execution_count));
}

}  // namespace

int main() {
  for (const std::uint64_t inline_limit_ns : {std::uint64_t{0}, Engine::kInlineLimitNs}) {
    Engine engine(make_arena_pool(std::size_t{256} << 20), inline_limit_ns);
    Home home;
    const auto single = engine.start(identity_model(false), make_identity_factory(), {{"single_0", {}}});
    const auto batching = engine.start(identity_model(true), make_identity_factory(), {{"batching_0", {}}});
    engine.publish("single", {single});
    engine.publish("batching", {batching});
    std::printf("%s\n",
                inline_limit_ns == 0 ? "through the queue" : "run by the submitting thread when short");
    for (int i = 0; i < kRepeats; ++i) {
      round_trips(engine, home);
      batched(engine, home, *batching);
    }
    engine.close();
  }
  return 0;
}
