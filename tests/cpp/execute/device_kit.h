#pragma once

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "execute/model_instance.h"
#include "fakes/fake_gpu.h"
#include "fakes/fake_network.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"
#include "memory/gpus.h"
#include "schedule/make_scheduler.h"

namespace naiad::test {

// A pool of which every block is pinned, as far as anybody is told.
class PinnedPool final : public TensorPool {
 public:
  BufferRef try_allocate(std::size_t size_bytes) override { return heap_.try_allocate(size_bytes); }
  PoolUsage usage() const override { return heap_.usage(); }
  int arena_fd() const override { return -1; }
  bool is_pinned(const std::byte*) const override { return true; }

 private:
  HeapPool heap_;
};

// Counts what comes home, in order.
class AnswersAtHome final : public CompletionSink {
 public:
  explicit AnswersAtHome(FakeGpu& gpu) : gpu_(gpu) {}

  struct Answer {
    std::uint64_t tag;
    Status status;
    std::vector<float> values;
  };
  void respond(const Request&, Response) noexcept override {}
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    Answer answer{request->tag, std::move(response.status), {}};
    if (!response.outputs.empty()) {
      const Tensor& tensor = response.outputs[0].tensor;
      gpu_.host_uses(tensor.data, tensor.size_bytes);
      answer.values = values_of(tensor);
    }
    {
      const std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
    }
    changed_.notify_all();
  }
  // Blocks until so many are there.
  std::vector<Answer> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.size() >= count; });
    return answers_;
  }

 private:
  FakeGpu& gpu_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Answer> answers_;
};

// One instance of a FakeNetwork on a FakeGpu, with its queue.
class DeviceHouse final : private InstanceObserver {
 public:
  explicit DeviceHouse(ModelSpec spec, NetworkScript script = {}, RateNeeds needs = {},
                       std::shared_ptr<FakeGpu> fake = std::make_shared<FakeGpu>())
      : gpu(std::move(fake)),
        model(std::make_shared<const ModelSpec>(std::move(spec))),
        home(*gpu),
        scheduler(make_scheduler(*model, clock, 1)),
        script_(std::make_shared<const NetworkScript>(std::move(script))),
        needs_(std::move(needs)) {}
  ~DeviceHouse() override { end(); }

  // Throws what the instance throws.
  void open() {
    InstanceSpec spec{*model, pool, "m_0_0", {DeviceKind::kGpu, 0}};
    spec.gpus = shared_gpus != nullptr ? shared_gpus : &gpus;
    spec.needs = needs_;
    spec.limiter = &limiter;
    InstanceObserver& observer = *this;
    instance = std::make_unique<ModelInstance>(std::move(spec), model, network_factory(script_), *scheduler,
                                               clock, observer);
    try {
      instance->wait_loaded();
    } catch (...) {
      end();
      throw;
    }
  }
  // One request of so many rows of `width` values that all are `value`; its number.
  std::uint64_t submit(std::int64_t rows, std::int64_t width, float value, bool pinned = true) {
    auto request = std::make_unique<Request>();
    const auto count = static_cast<std::size_t>(rows * width);
    Tensor tensor = floats(Shape{rows, width}, std::vector<float>(count, value));
    if (pinned) {
      BufferRef block = pool.try_allocate(tensor.size_bytes);
      std::memcpy(block->data(), tensor.data, tensor.size_bytes);
      tensor.data = block->data();
      tensor.owner = std::move(block);
    }
    request->spec = model;
    request->inputs.push_back(std::move(tensor));
    request->wanted = {true};
    request->num_rows = static_cast<std::uint32_t>(rows);
    request->sink = &home;
    request->tag = next_tag_++;
    if (const Status status = scheduler->try_submit(request); !status.ok()) throw Error(status);
    return next_tag_ - 1;
  }
  void end(bool drain = true) {
    scheduler->close(drain);
    instance.reset();
  }
  std::uint64_t num_submitted() const { return next_tag_; }
  std::size_t num_batches() {
    const std::lock_guard lock(mutex_);
    return num_batches_;
  }

  std::shared_ptr<FakeGpu> gpu;
  std::shared_ptr<const ModelSpec> model;
  SteadyClock clock;
  PinnedPool pool;
  AnswersAtHome home;
  Gpus gpus{[this](int, std::shared_ptr<Gpu>& opened) -> Status {
    if (absent) return {Code::kUnsupported, "GPUs not supported: there is none"};
    opened = gpu;
    return {};
  }};
  Gpus* shared_gpus = nullptr;  // instead
  bool absent = false;          // there is no GPU
  RateLimiter limiter{{}};
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<ModelInstance> instance;

 private:
  void ran(const Execution&) override {
    const std::lock_guard lock(mutex_);
    ++num_batches_;
  }
  void dropped(const DroppedRequest&) override {}
  bool is_healthy() override { return false; }  // there is no other instance

  const std::shared_ptr<const NetworkScript> script_;
  const RateNeeds needs_;
  std::uint64_t next_tag_ = 0;
  std::mutex mutex_;
  std::size_t num_batches_ = 0;
};

// One request at a time, so that each is a batch; or up to `max_batch_size` rows together.
inline ModelSpec network_model(std::uint32_t max_batch_size, bool batching = false) {
  ModelSpec spec = row_model(max_batch_size);
  spec.batching.dynamic = batching;
  spec.max_queue_size = 100'000;
  return spec;
}

}  // namespace naiad::test
