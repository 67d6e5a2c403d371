#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "execute/backend.h"
#include "execute/device_batch.h"
#include "fakes/fake_gpu.h"

namespace naiad::test {

// What a FakeNetwork does beside its computing.
struct NetworkScript {
  std::uint64_t compute_ns = 100'000;
  std::function<void(DeviceBatch&)> before{};    // in enqueue(), before anything is queued; may throw
  std::function<void(DeviceBatch&)> after{};     // in enqueue(), behind all
  std::function<void(DeviceBatch&)> finished{};  // in finish(); may throw
  bool captured = false;                         // its work can be
  bool does_without = false;     // the factory makes a backend that is not on the GPU, after all
  std::function<void()> made{};  // by the factory; may throw
};

// A network on a FakeGpu: Y = X + 1, in one kernel.
class FakeNetwork final : public DeviceBackend {
 public:
  explicit FakeNetwork(std::shared_ptr<const NetworkScript> script) : script_(std::move(script)) {}

  bool can_be_captured() const override { return script_->captured; }
  void enqueue(DeviceBatch& batch) override {
    if (script_->before) script_->before(batch);
    Tensor in = batch.input(0);
    BufferRef block = batch.allocate(in.size_bytes);
    const auto* const from = in.data;
    auto* const to = block->data();
    const std::size_t size_bytes = in.size_bytes;
    const auto act = [=] {
      for (std::size_t at = 0; at < size_bytes; at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, from + at, sizeof value);
        value += 1;
        std::memcpy(to + at, &value, sizeof value);
      }
    };
    auto& stream = static_cast<FakeStream&>(batch.stream());
    check_device(stream.compute(script_->compute_ns, {{from, size_bytes}}, {{to, size_bytes}}, act),
                 "run the network");
    Tensor out = in;
    out.data = to;
    out.owner = std::move(block);
    batch.output(0, std::move(out));
    if (script_->after) script_->after(batch);
  }
  void finish(DeviceBatch& batch) override {
    if (script_->finished) script_->finished(batch);
  }

 private:
  const std::shared_ptr<const NetworkScript> script_;
};

// Answers Y = X on the host, having looked at the GPU when it was made.
class WithoutGpu final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

inline BackendFactory network_factory(std::shared_ptr<const NetworkScript> script) {
  return [script](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    if (script->made) script->made();
    spec.on_gpu();
    if (script->does_without) return std::make_unique<WithoutGpu>();
    return std::make_unique<FakeNetwork>(script);
  };
}

}  // namespace naiad::test
