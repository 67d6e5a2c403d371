#pragma once

#include "fakes/fake_gpu.h"

namespace naiad::test {

// A stream of a FakeGpu: what is queued on it waits there. Any thread.
class FakeStream final : public GpuStream {
 public:
  FakeStream(FakeGpu& gpu, int number, StreamPriority priority)
      : gpu_(gpu), number_(number), priority_(priority) {}
  ~FakeStream() override {
    const std::lock_guard lock(gpu_.mutex_);
    --gpu_.num_streams_;
    const auto queue = gpu_.queues_.find(number_);
    if (queue == gpu_.queues_.end()) return;
    if (gpu_.host_past_.has(number_, queue->second.num_queued)) gpu_.queues_.erase(queue);
  }

  Status copy_to_gpu(std::byte* to, std::span<const std::byte> from) override {
    return copy(gpu_.bus_in_, "a copy to the GPU", to, from.data(), from.size(), true, false,
                &gpu_.num_copies_to_gpu_);
  }
  Status copy_to_host(std::span<std::byte> to, const std::byte* from) override {
    return copy(gpu_.bus_out_, "a copy to the host", to.data(), from, to.size(), false, true,
                &gpu_.num_copies_to_host_);
  }
  Status copy_within(std::byte* to, std::span<const std::byte> from) override {
    return copy(gpu_.kernels_, "a copy within the GPU", to, from.data(), from.size(), true, true);
  }
  Status copy_from_peer(std::byte* to, int, std::span<const std::byte> from) override {
    return copy(gpu_.bus_in_, "a copy from a peer", to, from.data(), from.size(), true, false);
  }
  Status copy_pieces(std::span<const CopyPiece> pieces) override;
  Status wait(const GpuEvent& event) override;
  Status begin_capture() override {
    const std::lock_guard lock(gpu_.mutex_);
    if (Status status = gpu_.called(number_); !status.ok()) return status;
    gpu_.queues_[number_].captures = true;
    return {};
  }
  Status end_capture(std::unique_ptr<GpuGraph>& graph) override;
  Status launch(const GpuGraph& graph) override {
    const std::lock_guard lock(gpu_.mutex_);
    if (Status status = gpu_.called(number_); !status.ok()) return status;
    for (const FakeGpu::Work& work : static_cast<const FakeGraph&>(graph).works()) gpu_.put(number_, work);
    ++gpu_.num_graph_launches_;
    return {};
  }
  Status drain() override {
    const std::lock_guard lock(gpu_.mutex_);
    if (Status status = gpu_.alive(number_); !status.ok()) return status;
    gpu_.see_end_of(number_);
    return gpu_.failure_;
  }
  void* native() const override { return const_cast<FakeStream*>(this); }

  // A kernel that takes so long and, when it is done, does `act` to the memory that it names.
  Status compute(std::uint64_t duration_ns, std::vector<Bytes> reads, std::vector<Bytes> writes,
                 std::function<void()> act) {
    const std::lock_guard lock(gpu_.mutex_);
    if (!gpu_.queues_[number_].captures) ++gpu_.num_launches_;
    return gpu_.queue(number_, {&gpu_.kernels_, duration_ns, std::move(reads), std::move(writes),
                                std::move(act), "a kernel"});
  }
  StreamPriority priority() const { return priority_; }

 private:
  friend class FakeEvent;
  Status copy(GpuEngine& engine, const char* what, std::byte* to, const std::byte* from,
              std::size_t size_bytes, bool to_gpu, bool from_gpu, std::size_t* count = nullptr);

  FakeGpu& gpu_;
  const int number_;
  const StreamPriority priority_;
};

}  // namespace naiad::test
