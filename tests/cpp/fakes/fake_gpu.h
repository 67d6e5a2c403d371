#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fakes/gpu_timeline.h"
#include "memory/gpu.h"

namespace naiad::test {

// How fast a FakeGpu is, in virtual time.
struct GpuRates {
  double bus_bytes_per_ns = 25;
  double memory_bytes_per_ns = 1000;
  std::uint64_t copy_ns = 2000;    // of each copy, besides its bytes
  std::uint64_t kernel_ns = 3000;  // of each launch
};

class FakeStream;

// A GPU of host memory. Work is queued and done only when somebody waits for it (or work_off() is called), so
// that who reads too early reads the wrong bytes; besides, every two uses of the same bytes must be ordered
// (faults()). Each engine has its own virtual time, from which makespans are exact. Any thread.
class FakeGpu final : public Gpu {
 public:
  explicit FakeGpu(int device = 0, std::size_t memory_bytes = std::size_t{1} << 30, GpuRates rates = {})
      : rates_(rates), device_(device), memory_bytes_(memory_bytes) {
    facts_ = {"fake", memory_bytes, 9, 0, true, "GPU-fake-" + std::to_string(device)};
  }
  ~FakeGpu() override = default;

  int device() const override { return device_; }
  const GpuFacts& facts() const override { return facts_; }
  Status memory(GpuMemoryUse& use) const override {
    const std::lock_guard lock(mutex_);
    use = {memory_bytes_ - allocated_bytes_, memory_bytes_};
    return {};
  }
  Status make_stream(StreamPriority priority, std::unique_ptr<GpuStream>& stream) override;
  Status make_event(std::unique_ptr<GpuEvent>& event) override;
  Status allocate(std::size_t size_bytes, std::unique_ptr<GpuAllocation>& allocation) override;

  // What went wrong in the use of memory; empty in a test that passes.
  std::string faults() const {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const std::string& fault : uses_.faults()) all += fault + "; ";
    return all;
  }
  std::size_t num_faults() const {
    const std::lock_guard lock(mutex_);
    return uses_.faults().size();
  }
  // The host reads, or writes, these bytes now.
  void host_uses(const void* data, std::size_t size_bytes, bool writes = false) {
    const std::lock_guard lock(mutex_);
    uses_.check_host(host_past_, {static_cast<const std::byte*>(data), size_bytes}, writes);
  }
  // Memory that somebody else has allocated here.
  void adopt(const std::byte* data, std::size_t size_bytes) {
    const std::lock_guard lock(mutex_);
    allocations_.emplace(data, size_bytes);
  }
  void disown(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    see_end_of_all();
    allocations_.erase(data);
  }
  // Does all that is queued, without anybody having waited for it.
  void work_off();

  // The `number`th call from now on that queues, marks or allocates fails; with `for_good` all after it, too.
  void fail_call(std::size_t number, bool for_good = false) {
    const std::lock_guard lock(mutex_);
    calls_left_ = number;
    fails_for_good_ = for_good;
  }
  // The `number`th work that is done from now on fails, and with it the device.
  void fail_work(std::size_t number) {
    const std::lock_guard lock(mutex_);
    works_left_ = number;
  }
  // As new after a reset: where the device had failed, what was queued is gone, and all streams that it had
  // are for nothing for good, as are the events that were recorded on them.
  void heal() {
    const std::lock_guard lock(mutex_);
    if (!failure_.ok()) {
      see_end_of_all();
      first_alive_ = next_stream_;
    }
    failure_ = {};
    calls_left_.reset();
    works_left_.reset();
  }

  std::size_t allocated_bytes() const { return locked(allocated_bytes_); }
  std::size_t num_allocations() const { return locked(num_allocations_); }
  // Allocations that ended while queued work used them, for which a GPU would have waited.
  std::size_t num_waits_to_free() const { return locked(num_waits_to_free_); }
  // Of all kinds; between the host and this GPU.
  std::size_t num_copies() const { return locked(num_copies_); }
  std::size_t num_copies_to_gpu() const { return locked(num_copies_to_gpu_); }
  std::size_t num_copies_to_host() const { return locked(num_copies_to_host_); }
  // The host reads these bytes, which must be its own.
  void expect_on_host(const void* data, std::size_t size_bytes) {
    const std::lock_guard lock(mutex_);
    expect_here({static_cast<const std::byte*>(data), size_bytes}, false, "the host");
  }
  // Of kernels, by themselves; of graphs.
  std::size_t num_launches() const { return locked(num_launches_); }
  std::size_t num_graph_launches() const { return locked(num_graph_launches_); }
  std::size_t num_streams() const { return locked(num_streams_); }
  // When all that was queued so far ends.
  std::uint64_t end_ns() const { return locked(end_ns_); }
  std::uint64_t kernels_busy_ns() const {
    const std::lock_guard lock(mutex_);
    return kernels_.busy_ns();
  }
  const GpuRates& rates() const { return rates_; }

 private:
  friend class FakeStream;
  friend class FakeEvent;
  friend class FakeAllocation;
  friend class FakeGraph;
  using Point = std::pair<int, std::uint64_t>;  // a stream and one of its works

  struct Work {
    GpuEngine* engine = nullptr;  // null: waits for a point
    std::uint64_t duration_ns = 0;
    std::vector<Bytes> reads{};
    std::vector<Bytes> writes{};
    std::function<void()> act{};
    std::string what{};
    Point awaited{};
  };
  struct Queue {
    Past past;
    std::uint64_t end_ns = 0;
    std::uint64_t num_queued = 0;
    std::uint64_t num_done = 0;
    std::map<std::uint64_t, Work> waiting;
    bool captures = false;
    bool is_spoiled = false;
    std::vector<Work> captured;
  };

  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }
  // All with mutex_ held.
  Status called() {
    if (failure_.ok() && calls_left_ && --*calls_left_ == 0) {
      calls_left_.reset();
      Status status(Code::kInternal, "fake failure of a call");
      if (fails_for_good_) failure_ = status;
      return status;
    }
    return failure_;
  }
  Status called(int stream) {
    Status status = called();
    return status.ok() ? alive(stream) : status;
  }
  // Of a stream, or of what was marked on it.
  Status alive(int stream) const {
    if (stream >= first_alive_ || stream < 0) return failure_;
    return {Code::kInternal, "fake stream of before the device failed"};
  }
  Status queue(int stream, Work work) {
    if (Status status = called(stream); !status.ok()) return status;
    Queue& own = queues_[stream];
    if (own.captures) {
      own.captured.push_back(std::move(work));
    } else {
      put(stream, std::move(work));
    }
    return {};
  }
  void put(int stream, Work work) {
    Queue& own = queues_[stream];
    const std::uint64_t number = ++own.num_queued;
    // What the host has seen the end of is in no list any more.
    own.past.add(stream, number - 1);
    for (const Bytes& bytes : work.reads) uses_.note(stream, number, own.past, bytes, false, work.what);
    for (const Bytes& bytes : work.writes) uses_.note(stream, number, own.past, bytes, true, work.what);
    if (work.engine != nullptr) own.end_ns = work.engine->place(own.end_ns, work.duration_ns);
    end_ns_ = std::max(end_ns_, own.end_ns);
    own.waiting.emplace(number, std::move(work));
  }
  void work_until(Point point) {
    const auto found = queues_.find(point.first);
    if (found == queues_.end()) return;  // of a stream that has ended, with nothing queued
    Queue& own = found->second;
    while (own.num_done < point.second) {
      const auto next = own.waiting.begin();
      const Work work = std::move(next->second);
      own.num_done = next->first;
      own.waiting.erase(next);
      if (work.engine == nullptr) work_until(work.awaited);
      if (work.act && works_left_ && --*works_left_ == 0) {
        works_left_.reset();
        failure_ = {Code::kInternal, "fake failure of the device"};
      }
      if (work.act && failure_.ok()) work.act();
    }
  }
  void see_end_of(int stream) {
    Queue& own = queues_[stream];
    work_until({stream, own.num_queued});
    host_past_.add(own.past);
    host_past_.add(stream, own.num_queued);
    uses_.forget(host_past_);
  }
  void see_end_of_all() {
    for (const auto& each : queues_) see_end_of(each.first);
  }
  bool owns(const Bytes& bytes) const {
    auto found = allocations_.upper_bound(bytes.begin);
    if (found == allocations_.begin()) return false;
    --found;
    return bytes.begin + bytes.size_bytes <= found->first + found->second;
  }
  void expect_here(const Bytes& bytes, bool here, const std::string& what) {
    if (bytes.size_bytes != 0 && owns(bytes) != here) {
      uses_.fault(what +
                  (here ? " outside the memory of the GPU" : " takes memory of the GPU for the host's"));
    }
  }
  std::uint64_t bus_ns(std::size_t size_bytes) const {
    return static_cast<std::uint64_t>(static_cast<double>(size_bytes) / rates_.bus_bytes_per_ns);
  }
  std::uint64_t memory_ns(std::size_t size_bytes) const {
    return static_cast<std::uint64_t>(static_cast<double>(size_bytes) / rates_.memory_bytes_per_ns);
  }

  const GpuRates rates_;
  const int device_;
  const std::size_t memory_bytes_;
  GpuFacts facts_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<int, Queue> queues_;
  std::map<const std::byte*, std::size_t> allocations_;
  Past host_past_;
  Uses uses_;
  GpuEngine bus_in_;
  GpuEngine bus_out_;
  GpuEngine kernels_;
  Status failure_;
  std::optional<std::size_t> calls_left_;
  std::optional<std::size_t> works_left_;
  bool fails_for_good_ = false;
  std::size_t allocated_bytes_ = 0;
  std::size_t num_allocations_ = 0;
  std::size_t num_waits_to_free_ = 0;
  std::size_t num_copies_ = 0;
  std::size_t num_copies_to_gpu_ = 0;
  std::size_t num_copies_to_host_ = 0;
  std::size_t num_launches_ = 0;
  std::size_t num_graph_launches_ = 0;
  std::size_t num_streams_ = 0;
  int next_stream_ = 0;
  int first_alive_ = 0;  // streams with smaller numbers are of before the last failure
  std::uint64_t end_ns_ = 0;
};

class FakeEvent final : public GpuEvent {
 public:
  explicit FakeEvent(FakeGpu& gpu) : gpu_(gpu) {}

  Status record(GpuStream& stream) override;
  Status query(bool& is_reached) const override {
    const std::lock_guard lock(gpu_.mutex_);
    if (Status status = gpu_.alive(point_.first); !status.ok()) return status;
    const auto queue = gpu_.queues_.find(point_.first);
    is_reached = queue == gpu_.queues_.end() || queue->second.num_done >= point_.second;
    if (is_reached) see();
    return {};
  }
  Status wait() const override {
    const std::lock_guard lock(gpu_.mutex_);
    gpu_.work_until(point_);
    see();
    return gpu_.alive(point_.first);
  }
  // Virtual.
  std::uint64_t reached_ns() const { return end_ns_; }

 private:
  friend class FakeStream;
  void see() const {
    gpu_.host_past_.add(past_);
    gpu_.uses_.forget(gpu_.host_past_);
  }

  FakeGpu& gpu_;
  FakeGpu::Point point_{-1, 0};
  Past past_;
  std::uint64_t end_ns_ = 0;
};

class FakeGraph final : public GpuGraph {
 public:
  explicit FakeGraph(std::vector<FakeGpu::Work> works) : works_(std::move(works)) {}
  const std::vector<FakeGpu::Work>& works() const { return works_; }

 private:
  const std::vector<FakeGpu::Work> works_;
};

class FakeAllocation final : public GpuAllocation {
 public:
  FakeAllocation(FakeGpu& gpu, std::size_t size_bytes)
      : gpu_(gpu), size_bytes_(size_bytes), bytes_(size_bytes + kAlignment, std::byte{0xA5}) {
    gpu_.allocations_.emplace(data(), size_bytes);
    gpu_.allocated_bytes_ += size_bytes;
    ++gpu_.num_allocations_;
  }
  ~FakeAllocation() override {
    const std::lock_guard lock(gpu_.mutex_);
    if (gpu_.uses_.in_use(gpu_.host_past_, {data(), size_bytes_})) ++gpu_.num_waits_to_free_;
    gpu_.see_end_of_all();
    gpu_.allocations_.erase(data());
    gpu_.allocated_bytes_ -= size_bytes_;
  }

  std::byte* data() const override {
    const auto start = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (kAlignment - start % kAlignment) % kAlignment;
  }
  std::size_t size_bytes() const override { return size_bytes_; }

 private:
  static constexpr std::size_t kAlignment = 256;

  FakeGpu& gpu_;
  const std::size_t size_bytes_;
  mutable std::vector<std::byte> bytes_;
};

}  // namespace naiad::test

#include "fakes/fake_gpu_calls.h"  // what needs all of the classes
