// Microseconds of one execute() of the onnxruntime backend on tests/cpp/backends/models/simple.onnx (two
// int32 inputs and outputs of 16 elements), gather and cut included, queue and wire not.
//   bench_onnxruntime LIBRARY MODEL [name=value ...]   e.g. .../libonnxruntime.so.1.32.0 .../simple.onnx
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/identity.h"
#include "backends/onnxruntime_backend.h"
#include "base/clock.h"
#include "execute/execution.h"

namespace naiad {
namespace {

constexpr std::size_t kNumElements = 16;
constexpr int kNumRounds = 20;
constexpr int kNumRunsPerRound = 5000;

std::shared_ptr<ModelSpec> simple_model() {
  auto model = std::make_shared<ModelSpec>();
  model->name = "simple";
  model->max_batch_size = 8;
  const auto add = [](std::vector<TensorSpec>& to, const char* name) {
    TensorSpec spec;
    spec.name = name;
    spec.dtype = DataType::kInt32;
    spec.dims = {kNumElements};
    to.push_back(spec);
  };
  add(model->inputs, "INPUT0");
  add(model->inputs, "INPUT1");
  add(model->outputs, "OUTPUT0");
  add(model->outputs, "OUTPUT1");
  return model;
}

// Median over the rounds of the mean time of one execute(), for batches of `num_requests` requests of a row.
double median_execute_us(const std::shared_ptr<ModelSpec>& model, Backend& backend, TensorPool& pool,
                         std::size_t num_requests) {
  SteadyClock clock;
  const std::size_t size_bytes = kNumElements * sizeof(std::int32_t);
  BufferRef bytes = pool.try_allocate(size_bytes);
  std::memset(bytes->data(), 1, size_bytes);
  const Tensor row{DataType::kInt32, {1, kNumElements}, bytes->data(), size_bytes, bytes};
  std::vector<double> round_us;
  for (int round = 0; round < kNumRounds; ++round) {
    std::uint64_t spent_ns = 0;
    for (int i = 0; i < kNumRunsPerRound; ++i) {
      std::vector<std::unique_ptr<Request>> requests;
      for (std::size_t k = 0; k < num_requests; ++k) {
        requests.push_back(std::make_unique<Request>());
        requests.back()->spec = model;
        requests.back()->inputs = {row, row};
        requests.back()->wanted = {true, true};
      }
      Execution execution(*model, std::move(requests), pool, clock);
      const std::uint64_t start_ns = clock.now_ns();
      backend.execute(execution);
      spent_ns += clock.now_ns() - start_ns;
    }
    round_us.push_back(static_cast<double>(spent_ns) / kNumRunsPerRound / 1000.0);
  }
  std::sort(round_us.begin(), round_us.end());
  return round_us[round_us.size() / 2];
}

void print(const char* name, const std::shared_ptr<ModelSpec>& model, const BackendFactory& factory) {
  const auto pool = make_arena_pool(std::size_t{1} << 26);
  const auto backend = factory({*model, *pool, "simple_0_0", Device{}});
  for (const std::size_t num_requests : {std::size_t{1}, std::size_t{8}}) {
    std::printf("%-12s batch %zu: %.2f us per execute (median of %d rounds of %d)\n", name, num_requests,
                median_execute_us(model, *backend, *pool, num_requests), kNumRounds, kNumRunsPerRound);
  }
}

int run(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s LIBRARY MODEL [name=value ...]\n", arguments[0]);
    return 2;
  }
  std::map<std::string, std::string> options;
  for (int i = 3; i < count; ++i) {
    const std::string option = arguments[i];
    options[option.substr(0, option.find('='))] = option.substr(option.find('=') + 1);
  }
  const auto model = simple_model();
  print("onnxruntime", model,
        make_onnxruntime_factory(OnnxRuntime::open(arguments[1]), arguments[2], options));
  print("identity", model, make_identity_factory());
  return 0;
}

}  // namespace
}  // namespace naiad

int main(int count, char** arguments) {
  try {
    return naiad::run(count, arguments);
  } catch (const naiad::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
