#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "execute/execution.h"
#include "fakes/fake_gpu.h"
#include "fakes/fake_network.h"
#include "fakes/gathered_answers.h"

namespace naiad::test {

// An engine with two stand-ins for GPUs, models that add 1 on one of them or on the host, and ensembles of
// such steps.
struct GpuEnsembles {
  // Where a model runs: the number of a GPU, or the host.
  static constexpr int kHost = -1;

  explicit GpuEnsembles(std::size_t cache_bytes = 0)
      : engine(make_arena_pool(std::size_t{64} << 20), 0, cache_bytes, {}, nullptr,
               std::make_unique<Gpus>([this](int device, std::shared_ptr<Gpu>& gpu) -> Status {
                 gpu = device == 0 ? first : second;
                 return {};
               })) {}
  ~GpuEnsembles() {
    close();
    answers.all().clear();  // memory of the engine's
  }

  static ModelSpec spec_of(const std::string& name, bool batching = true) {
    ModelSpec spec = row_model(8);
    spec.name = name;
    spec.batching.dynamic = batching;
    spec.max_queue_size = 10'000;
    return spec;
  }
  // Adds 1 on the host, where all that it reads must be.
  class OnHost final : public Backend {
   public:
    explicit OnHost(GpuEnsembles& house) : house_(house) {}
    void execute(Execution& execution) override {
      const Tensor in = execution.input(0);
      house_.first->expect_on_host(in.data, in.size_bytes);
      house_.second->expect_on_host(in.data, in.size_bytes);
      BufferRef block = execution.allocate(in.size_bytes);
      std::vector<float> values = values_of(in);
      for (float& value : values) value += 1;
      if (!values.empty()) std::memcpy(block->data(), values.data(), in.size_bytes);
      execution.output(0, {in.dtype, in.shape, block->data(), in.size_bytes, block});
    }

   private:
    GpuEnsembles& house_;
  };
  BackendFactory factory() {
    return [this, network = network_factory(script)](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
      if (spec.device.kind == DeviceKind::kCpu) return std::make_unique<OnHost>(*this);
      return network(spec);
    };
  }
  static InstancePlan plan_of(const std::string& name, int where) {
    const Device device = where == kHost ? Device{} : Device{DeviceKind::kGpu, where};
    return {name + "_" + std::to_string(where), device, {}, false, {}};
  }
  std::shared_ptr<Model> add(const ModelSpec& spec, int where) {
    auto model = engine.start(spec, factory(), {plan_of(spec.name, where)});
    engine.publish(spec.name, {model});
    return model;
  }
  std::shared_ptr<Model> add(const std::string& name, int where) { return add(spec_of(name), where); }
  // Steps one behind the other; X goes in, Y comes out.
  std::shared_ptr<Model> chain(const std::string& name, const std::vector<std::string>& models) {
    EnsemblePlan plan;
    for (std::size_t i = 0; i <= models.size(); ++i) plan.tensors.push_back("t" + std::to_string(i));
    plan.inputs = {0};
    plan.outputs = {models.size()};
    for (std::size_t i = 0; i < models.size(); ++i) {
      plan.steps.push_back({models[i], {}, {{"X", i, false}}, {{"Y", i + 1, false}}, {}});
    }
    auto model = engine.start_ensemble(spec_of(name), std::move(plan));
    engine.publish(name, {model});
    return model;
  }
  std::unique_ptr<Request> request(const std::string& model, std::int64_t rows, std::int64_t width,
                                   float value) {
    auto made = row_request(rows, width, value);
    made->model_name = made->text.emplace_back(model);
    made->sink = &answers;
    made->tag = num_asked++;
    return made;
  }
  // Its number; the answer may be a refusal.
  std::uint64_t ask(const std::string& model, float value, std::int64_t rows = 1, std::int64_t width = 64) {
    auto made = request(model, rows, width, value);
    const std::uint64_t tag = made->tag;
    if (Status status = engine.submit(made); !status.ok()) {
      answers.complete(std::move(made), Response{std::move(status), {}, {}});
    }
    return tag;
  }
  // What it answers, checked to be on the host; the message where it fails.
  std::pair<Status, std::vector<float>> answer(std::uint64_t tag) {
    answers.wait(num_asked);
    const Response& response = answers.all().at(tag);
    if (!response.status.ok()) return {response.status, {}};
    const Tensor& tensor = response.outputs.at(0).tensor;
    for (const auto& gpu : {first, second}) {
      gpu->expect_on_host(tensor.data, tensor.size_bytes);
      gpu->host_uses(tensor.data, tensor.size_bytes);
    }
    return {response.status, values_of(tensor)};
  }
  std::size_t num_copies_to_host() const {
    return first->num_copies_to_host() + second->num_copies_to_host();
  }
  std::string faults() const { return first->faults() + second->faults(); }
  void close() {
    answers.wait(num_asked);
    engine.close();
  }

  std::shared_ptr<FakeGpu> first = std::make_shared<FakeGpu>(0);
  std::shared_ptr<FakeGpu> second = std::make_shared<FakeGpu>(1);
  std::shared_ptr<NetworkScript> script = std::make_shared<NetworkScript>();
  std::uint64_t num_asked = 0;
  GatheredAnswers answers;
  Engine engine;
};

inline std::vector<float> filled(float value, std::size_t count = 64) {
  return std::vector<float>(count, value);
}

}  // namespace naiad::test
