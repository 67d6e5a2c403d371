#pragma once

#include "fakes/fake_gpu.h"
#include "fakes/fake_stream.h"

namespace naiad::test {

inline Status FakeGpu::make_stream(StreamPriority priority, std::unique_ptr<GpuStream>& stream) {
  const std::lock_guard lock(mutex_);
  if (Status status = called(); !status.ok()) return status;
  ++num_streams_;
  stream = std::make_unique<FakeStream>(*this, next_stream_++, priority);
  return {};
}

inline Status FakeGpu::make_event(std::unique_ptr<GpuEvent>& event) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_;
  event = std::make_unique<FakeEvent>(*this);
  return {};
}

inline Status FakeGpu::allocate(std::size_t size_bytes, std::unique_ptr<GpuAllocation>& allocation) {
  const std::lock_guard lock(mutex_);
  if (Status status = called(); !status.ok()) return status;
  if (size_bytes > memory_bytes_ - allocated_bytes_) return {Code::kUnavailable, "out of memory"};
  allocation = std::make_unique<FakeAllocation>(*this, size_bytes);
  return {};
}

inline void FakeGpu::work_off() {
  const std::lock_guard lock(mutex_);
  for (auto& [stream, queue] : queues_) work_until({stream, queue.num_queued});
}

inline Status FakeEvent::record(GpuStream& stream) {
  const std::lock_guard lock(gpu_.mutex_);
  const int number = static_cast<FakeStream&>(stream).number_;
  if (Status status = gpu_.called(number); !status.ok()) return status;
  FakeGpu::Queue& queue = gpu_.queues_[number];
  if (queue.captures) return {Code::kUnavailable, "the stream captures"};
  point_ = {number, queue.num_queued};
  past_ = queue.past;
  past_.add(number, queue.num_queued);
  end_ns_ = queue.end_ns;
  return {};
}

inline Status FakeStream::wait(const GpuEvent& event) {
  const std::lock_guard lock(gpu_.mutex_);
  if (Status status = gpu_.called(number_); !status.ok()) return status;
  const auto& fake = static_cast<const FakeEvent&>(event);
  if (Status status = gpu_.alive(fake.point_.first); !status.ok()) return status;
  FakeGpu::Queue& own = gpu_.queues_[number_];
  if (own.captures) {
    own.is_spoiled = true;
    return {Code::kInternal, "a stream that captures cannot wait for what isn't captured"};
  }
  own.past.add(fake.past_);
  own.end_ns = std::max(own.end_ns, fake.end_ns_);
  gpu_.put(number_, {.what = "a wait", .awaited = fake.point_});
  return {};
}

inline Status FakeStream::copy(GpuEngine& engine, const char* what, std::byte* to, const std::byte* from,
                               std::size_t size_bytes, bool to_gpu, bool from_gpu, std::size_t* count) {
  const std::lock_guard lock(gpu_.mutex_);
  gpu_.expect_here({to, size_bytes}, to_gpu, what);
  gpu_.expect_here({from, size_bytes}, from_gpu, what);
  const bool within = to_gpu && from_gpu;
  const std::uint64_t bytes_ns = within ? gpu_.memory_ns(size_bytes) : gpu_.bus_ns(size_bytes);
  ++gpu_.num_copies_;
  if (count != nullptr) ++*count;
  const auto act = [=] {
    if (size_bytes != 0) std::memcpy(to, from, size_bytes);
  };
  return gpu_.queue(
      number_,
      {&engine, gpu_.rates_.copy_ns + bytes_ns, {{from, size_bytes}}, {{to, size_bytes}}, act, what});
}

inline Status FakeStream::copy_pieces(std::span<const CopyPiece> pieces) {
  const std::lock_guard lock(gpu_.mutex_);
  for (std::size_t at = 0; at < pieces.size(); at += kMaxCopyPieces) {
    const auto some = pieces.subspan(at, std::min(kMaxCopyPieces, pieces.size() - at));
    FakeGpu::Work work{&gpu_.kernels_, gpu_.rates_.kernel_ns, {}, {}, {}, "a kernel that copies"};
    for (const CopyPiece& piece : some) {
      work.reads.push_back({piece.from, piece.size_bytes});
      work.writes.push_back({piece.to, piece.size_bytes});
      const bool here = gpu_.owns(work.reads.back()) && gpu_.owns(work.writes.back());
      work.duration_ns += here ? gpu_.memory_ns(piece.size_bytes) : gpu_.bus_ns(piece.size_bytes);
    }
    work.act = [copies = std::vector<CopyPiece>(some.begin(), some.end())] {
      for (const CopyPiece& piece : copies) {
        if (piece.size_bytes != 0) std::memcpy(piece.to, piece.from, piece.size_bytes);
      }
    };
    if (!gpu_.queues_[number_].captures) ++gpu_.num_launches_;
    if (Status status = gpu_.queue(number_, std::move(work)); !status.ok()) return status;
  }
  return {};
}

inline Status FakeStream::end_capture(std::unique_ptr<GpuGraph>& graph) {
  const std::lock_guard lock(gpu_.mutex_);
  FakeGpu::Queue& own = gpu_.queues_[number_];
  own.captures = false;
  std::vector<FakeGpu::Work> works = std::exchange(own.captured, {});
  if (Status status = gpu_.called(number_); !status.ok()) return status;
  if (std::exchange(own.is_spoiled, false)) return {Code::kInternal, "the capture has failed before"};
  graph = std::make_unique<FakeGraph>(std::move(works));
  return {};
}

}  // namespace naiad::test
