#include "memory/gpu.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/copy_kernels.h"
#include "cuda/cuda_calls.h"
#include "memory/host_pinning.h"

namespace naiad {
namespace {

class CudaGraph final : public GpuGraph {
 public:
  explicit CudaGraph(cudaGraphExec_t graph) : graph_(graph) {}
  ~CudaGraph() override { static_cast<void>(cudaGraphExecDestroy(graph_)); }
  cudaGraphExec_t get() const { return graph_; }

 private:
  const cudaGraphExec_t graph_;
};

class CudaEvent final : public GpuEvent {
 public:
  explicit CudaEvent(cudaEvent_t event) : event_(event) {}
  ~CudaEvent() override { static_cast<void>(cudaEventDestroy(event_)); }

  Status record(GpuStream& stream) override;
  Status query(bool& is_reached) const override {
    const cudaError_t error = cudaEventQuery(event_);
    is_reached = error == cudaSuccess;
    if (error == cudaErrorNotReady) {
      static_cast<void>(cudaGetLastError());
      return {};
    }
    return cuda_status(error, "cannot query an event");
  }
  Status wait() const override {
    return cuda_status(cudaEventSynchronize(event_), "cannot wait for an event");
  }
  cudaEvent_t get() const { return event_; }

 private:
  const cudaEvent_t event_;
};

class CudaStream final : public GpuStream {
 public:
  CudaStream(cudaStream_t stream, int device) : stream_(stream), device_(device) {}
  ~CudaStream() override { static_cast<void>(cudaStreamDestroy(stream_)); }

  Status copy_to_gpu(std::byte* to, std::span<const std::byte> from) override {
    return copy(to, from.data(), from.size(), cudaMemcpyHostToDevice);
  }
  Status copy_to_host(std::span<std::byte> to, const std::byte* from) override {
    return copy(to.data(), from, to.size(), cudaMemcpyDeviceToHost);
  }
  Status copy_within(std::byte* to, std::span<const std::byte> from) override {
    return copy(to, from.data(), from.size(), cudaMemcpyDeviceToDevice);
  }
  Status copy_from_peer(std::byte* to, int device, std::span<const std::byte> from) override {
    if (from.empty()) return {};
    see_peer(device);
    return cuda_status(cudaMemcpyPeerAsync(to, device_, from.data(), device, from.size(), stream_),
                       "cannot copy from GPU " + std::to_string(device));
  }
  Status copy_pieces(std::span<const CopyPiece> pieces) override {
    const CurrentDevice current(device_);
    cudaError_t error = current.error();
    for (std::size_t at = 0; at < pieces.size() && error == cudaSuccess; at += kMaxCopyPieces) {
      error = launch_copies(pieces.data() + at, std::min(kMaxCopyPieces, pieces.size() - at), stream_);
    }
    return cuda_status(error, "cannot launch the kernel that copies");
  }
  Status wait(const GpuEvent& event) override {
    const cudaEvent_t awaited = static_cast<const CudaEvent&>(event).get();
    return cuda_status(cudaStreamWaitEvent(stream_, awaited, cudaEventWaitDefault),
                       "cannot have a stream wait");
  }

  Status begin_capture() override {
    const std::lock_guard lock(marking_);
    const cudaError_t error = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
    captures_ = error == cudaSuccess;
    return cuda_status(error, "cannot capture a stream");
  }
  Status end_capture(std::unique_ptr<GpuGraph>& graph) override {
    cudaGraph_t captured = nullptr;
    cudaError_t error = cudaSuccess;
    {
      const std::lock_guard lock(marking_);
      error = cudaStreamEndCapture(stream_, &captured);
      captures_ = false;
    }
    const CurrentDevice current(device_);
    cudaGraphExec_t made = nullptr;
    if (error == cudaSuccess) error = cudaGraphInstantiate(&made, captured, 0);
    if (captured != nullptr) static_cast<void>(cudaGraphDestroy(captured));
    if (error == cudaSuccess) graph = std::make_unique<CudaGraph>(made);
    return cuda_status(error, "cannot make a graph of a captured stream");
  }
  Status launch(const GpuGraph& graph) override {
    const CurrentDevice current(device_);
    return cuda_status(cudaGraphLaunch(static_cast<const CudaGraph&>(graph).get(), stream_),
                       "cannot launch a graph");
  }
  Status drain() override { return cuda_status(cudaStreamSynchronize(stream_), "cannot drain a stream"); }
  void* native() const override { return stream_; }

  // An event that another thread records while this stream is captured would become part of the graph.
  Status mark(cudaEvent_t event) {
    const std::lock_guard lock(marking_);
    if (captures_) return {Code::kUnavailable, "the stream is being captured"};
    return cuda_status(cudaEventRecord(event, stream_), "cannot record an event");
  }

 private:
  Status copy(std::byte* to, const std::byte* from, std::size_t size_bytes, cudaMemcpyKind kind) {
    if (size_bytes == 0) return {};
    return cuda_status(cudaMemcpyAsync(to, from, size_bytes, kind, stream_), "cannot copy");
  }

  // Lets the two GPUs copy without the host in between, where they can.
  void see_peer(int device) {
    if (std::ranges::find(peers_, device) != peers_.end()) return;
    peers_.push_back(device);
    const CurrentDevice current(device_);
    int sees = 0;
    if (cudaDeviceCanAccessPeer(&sees, device_, device) != cudaSuccess || sees == 0) return;
    // It may have been allowed already. Refused, copies take the way by the host.
    if (cudaDeviceEnablePeerAccess(device, 0) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }

  const cudaStream_t stream_;
  const int device_;
  std::vector<int> peers_;  // that were looked at
  std::mutex marking_;      // guards captures_
  bool captures_ = false;
};

Status CudaEvent::record(GpuStream& stream) {
  return static_cast<CudaStream&>(stream).mark(event_);
}

class CudaAllocation final : public GpuAllocation {
 public:
  CudaAllocation(void* data, std::size_t size_bytes, int device)
      : data_(static_cast<std::byte*>(data)), size_bytes_(size_bytes), device_(device) {}
  ~CudaAllocation() override {
    const CurrentDevice current(device_);
    static_cast<void>(cudaFree(data_));
  }
  std::byte* data() const override { return data_; }
  std::size_t size_bytes() const override { return size_bytes_; }

 private:
  std::byte* const data_;
  const std::size_t size_bytes_;
  const int device_;
};

class CudaGpu final : public Gpu {
 public:
  CudaGpu(int device, GpuFacts facts, int lowest_priority, int highest_priority)
      : device_(device),
        facts_(std::move(facts)),
        lowest_priority_(lowest_priority),
        highest_priority_(highest_priority) {}

  int device() const override { return device_; }
  const GpuFacts& facts() const override { return facts_; }
  void bind_thread() override { static_cast<void>(cudaSetDevice(device_)); }
  Status memory(GpuMemoryUse& use) const override {
    const CurrentDevice current(device_);
    cudaError_t error = current.error();
    if (error == cudaSuccess) error = cudaMemGetInfo(&use.free_bytes, &use.total_bytes);
    return cuda_status(error, "cannot tell the memory of GPU " + std::to_string(device_));
  }
  Status make_stream(StreamPriority priority, std::unique_ptr<GpuStream>& stream) override {
    const CurrentDevice current(device_);
    cudaStream_t made = nullptr;
    cudaError_t error = current.error();
    if (error == cudaSuccess) {
      // Not the legacy default stream's business: nothing of this waits for it, or it for this.
      error = cudaStreamCreateWithPriority(&made, cudaStreamNonBlocking, number_of(priority));
    }
    if (error == cudaSuccess) stream = std::make_unique<CudaStream>(made, device_);
    return cuda_status(error, "cannot make a stream on GPU " + std::to_string(device_));
  }
  Status make_event(std::unique_ptr<GpuEvent>& event) override {
    const CurrentDevice current(device_);
    cudaEvent_t made = nullptr;
    cudaError_t error = current.error();
    if (error == cudaSuccess) {
      error = cudaEventCreateWithFlags(&made, cudaEventBlockingSync | cudaEventDisableTiming);
    }
    if (error == cudaSuccess) event = std::make_unique<CudaEvent>(made);
    return cuda_status(error, "cannot make an event on GPU " + std::to_string(device_));
  }
  Status allocate(std::size_t size_bytes, std::unique_ptr<GpuAllocation>& allocation) override {
    const CurrentDevice current(device_);
    void* made = nullptr;
    cudaError_t error = current.error();
    if (error == cudaSuccess) error = cudaMalloc(&made, size_bytes);
    if (error == cudaSuccess) allocation = std::make_unique<CudaAllocation>(made, size_bytes, device_);
    return cuda_status(
        error, "cannot allocate " + std::to_string(size_bytes) + " bytes on GPU " + std::to_string(device_));
  }

 private:
  // Lower numbers go first; both ends are 0 on a GPU without priorities.
  int number_of(StreamPriority priority) const {
    switch (priority) {
      case StreamPriority::kHigh:
        return highest_priority_;
      case StreamPriority::kLow:
        return lowest_priority_;
      case StreamPriority::kDefault:
        break;
    }
    // What a stream has that asks for none, those of frameworks too.
    return 0;
  }

  const int device_;
  const GpuFacts facts_;
  const int lowest_priority_;
  const int highest_priority_;
};

// As NVML writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    text += {kDigits[byte >> 4U], kDigits[byte & 15U]};
  }
  return text;
}

}  // namespace

Status open_gpu(int device, std::shared_ptr<Gpu>& gpu) {
  if (Status status = check_gpu(device); !status.ok()) return status;
  const CurrentDevice current(device);
  cudaDeviceProp properties{};
  int lowest = 0;
  int highest = 0;
  cudaError_t error = current.error();
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, device);
  if (error == cudaSuccess) error = cudaDeviceGetStreamPriorityRange(&lowest, &highest);
  if (error != cudaSuccess) return cuda_status(error, "cannot use GPU " + std::to_string(device));
  GpuFacts facts{properties.name,
                 properties.totalGlobalMem,
                 properties.major,
                 properties.minor,
                 properties.canMapHostMemory != 0 && properties.canUseHostPointerForRegisteredMem != 0,
                 uuid_text(properties.uuid)};
  gpu = std::make_shared<CudaGpu>(device, std::move(facts), lowest, highest);
  return {};
}

}  // namespace naiad
