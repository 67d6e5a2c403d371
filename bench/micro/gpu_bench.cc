// What a GPU's memory costs: copies from and to pinned memory, the staging of batches, gathering of small
// pieces, and two batches under way against one. Prints one table; where there is no GPU, why, and nothing
// else.
//
// Arguments: the number of the GPU (0).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "execute/device_batch.h"
#include "execute/device_lane.h"
#include "memory/gpus.h"
#include "memory/host_pinning.h"
#include "memory/tensor_pool.h"

namespace naiad {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kImageBytes = 600'000;
constexpr std::size_t kBatch = 32;
constexpr std::size_t kSmallPieces = 64;
constexpr std::size_t kSmallBytes = 4096;

void must(const Status& status) {
  if (!status.ok()) throw Error(status);
}

void row(const char* what, double value, const char* unit) {
  std::printf("| %-62s | %10.2f | %-5s |\n", what, value, unit);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of one call: the median of several times `count` calls, of which the first go unmeasured.
double seconds_each(std::size_t count, const std::function<void()>& work) {
  for (std::size_t i = 0; i < count / 4 + 1; ++i) work();
  std::vector<double> each;
  for (int round = 0; round < 5; ++round) {
    each.push_back(seconds_of([&] {
                     for (std::size_t i = 0; i < count; ++i) work();
                   }) /
                   static_cast<double>(count));
  }
  std::ranges::sort(each);
  return each[each.size() / 2];
}

class Discard final : public CompletionSink {
 public:
  void respond(const Request&, Response) noexcept override {}
  void complete(std::unique_ptr<Request>, Response response) noexcept override {
    if (!response.status.ok()) std::fprintf(stderr, "failed: %s\n", response.status.message().c_str());
  }
};

// Computes for as long as so many copies of its input within the GPU take, and gives its input back.
class CopyingNetwork final : public DeviceBackend {
 public:
  CopyingNetwork(std::size_t num_copies, bool answers) : num_copies_(num_copies), answers_(answers) {}
  void enqueue(DeviceBatch& batch) override {
    Tensor tensor = batch.input(0);
    BufferRef block = batch.allocate(tensor.size_bytes);
    for (std::size_t i = 0; i < num_copies_; ++i) {
      check_device(batch.stream().copy_within(block->data(), tensor.bytes()), "copy");
    }
    if (answers_) batch.output(0, tensor);
  }

 private:
  const std::size_t num_copies_;
  const bool answers_;
};

class Bench {
 public:
  explicit Bench(int device) : pool_(gpus_.pool(device)) {
    must(pool_.gpu().make_stream(StreamPriority::kDefault, stream_));
    must(pool_.gpu().make_event(event_));
    ModelSpec spec;
    spec.name = std::string("bench");
    spec.max_batch_size = kBatch;
    spec.inputs.push_back({"X", DataType::kUint8, Shape{-1}, {}, false, {}});
    spec.outputs.push_back({"Y", DataType::kUint8, Shape{-1}, {}, false, {}});
    model_ = std::make_shared<const ModelSpec>(std::move(spec));
    for (std::size_t i = 0; i < 2 * kBatch; ++i) images_.push_back(host_->try_allocate(kImageBytes));
  }

  void run() {
    std::printf("| %-62s | %10s | %-5s |\n|---|---|---|\n", pool_.gpu().facts().name.c_str(), "", "");
    copies();
    staging();
    gathering();
    overlap();
  }

 private:
  void wait() {
    must(event_->record(*stream_));
    must(event_->wait());
  }
  std::unique_ptr<GpuAllocation> on_gpu(std::size_t size_bytes) {
    std::unique_ptr<GpuAllocation> made;
    must(pool_.gpu().allocate(size_bytes, made));
    return made;
  }

  void copies() {
    const std::size_t size_bytes = 64 * kMiB;
    const BufferRef block = host_->try_allocate(size_bytes);
    const auto there = on_gpu(size_bytes);
    const auto gb = static_cast<double>(size_bytes) / 1e9;
    const double in = seconds_each(20, [&] {
      must(stream_->copy_to_gpu(there->data(), {block->data(), size_bytes}));
      wait();
    });
    const double out = seconds_each(20, [&] {
      must(stream_->copy_to_host({block->data(), size_bytes}, there->data()));
      wait();
    });
    bus_gb_s_ = gb / in;
    row("pinned memory to the GPU, 64 MiB", bus_gb_s_, "GB/s");
    row("the GPU to pinned memory, 64 MiB", gb / out, "GB/s");
  }

  std::vector<std::unique_ptr<Request>> requests(std::size_t from) {
    std::vector<std::unique_ptr<Request>> made;
    for (std::size_t i = 0; i < kBatch; ++i) {
      auto request = std::make_unique<Request>();
      const BufferRef& image = images_[(from + i) % images_.size()];
      request->spec = model_;
      request->wanted = {true};
      request->sink = &sink_;
      request->inputs.push_back({DataType::kUint8, Shape{1, static_cast<std::int64_t>(kImageBytes)},
                                 image->data(), kImageBytes, image});
      made.push_back(std::move(request));
    }
    return made;
  }
  // Of one batch in the long run.
  double batch_seconds(std::size_t num_slots, std::size_t num_copies, bool answers) {
    constexpr std::size_t kNumBatches = 100;
    const auto budget = std::make_shared<DeviceBudget>("the bench");
    DeviceLane lane(DeviceStreams::make(pool_, budget, StreamPriority::kDefault), num_slots);
    CopyingNetwork network(num_copies, answers);
    lane.begin(network, "bench", [](Execution& execution) { execution.complete(); }, [] {});
    const auto some = [&](std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        lane.wait_free();
        lane.run(std::make_unique<Execution>(*model_, requests(i * kBatch), *host_, clock_));
      }
    };
    some(10);
    const double seconds = seconds_of([&] {
      some(kNumBatches);
      lane.end();
    });
    if (lane.failed()) throw Error(Code::kInternal, "the GPU has failed");
    return seconds / kNumBatches;
  }

  void staging() {
    const auto gb = static_cast<double>(kBatch * kImageBytes) / 1e9;
    const double gb_s = gb / batch_seconds(2, 0, false);
    row("staging of batches of 32 images of 600 KB", gb_s, "GB/s");
    row("  of the bandwidth of one copy", 100 * gb_s / bus_gb_s_, "%");
  }

  void gathering() {
    const std::size_t total = kSmallPieces * kSmallBytes;
    const auto block = on_gpu(total);
    const auto spread = on_gpu(2 * total);
    const BufferRef host = host_->try_allocate(2 * total);
    const BufferRef slab = host_->try_allocate(total);
    std::vector<CopyPiece> within;
    std::vector<CopyPiece> from_host;
    for (std::size_t i = 0; i < kSmallPieces; ++i) {
      std::byte* const to = block->data() + i * kSmallBytes;
      within.push_back({spread->data() + 2 * i * kSmallBytes, to, kSmallBytes});
      from_host.push_back({host->data() + 2 * i * kSmallBytes, to, kSmallBytes});
    }
    const double copies = seconds_each(200, [&] {
      for (const CopyPiece& piece : from_host)
        must(stream_->copy_to_gpu(piece.to, {piece.from, piece.size_bytes}));
      wait();
    });
    const double copies_within = seconds_each(200, [&] {
      for (const CopyPiece& piece : within)
        must(stream_->copy_within(piece.to, {piece.from, piece.size_bytes}));
      wait();
    });
    const double through_host = seconds_each(200, [&] {
      for (std::size_t i = 0; i < kSmallPieces; ++i) {
        std::memcpy(slab->data() + i * kSmallBytes, from_host[i].from, kSmallBytes);
      }
      must(stream_->copy_to_gpu(block->data(), {slab->data(), total}));
      wait();
    });
    const double kernel_within = seconds_each(200, [&] {
      must(stream_->copy_pieces(within));
      wait();
    });
    row("64 pieces of 4 KB of pinned memory, 64 copies", copies * 1e6, "us");
    row("  put together by the processor, one copy", through_host * 1e6, "us");
    if (pool_.gpu().facts().reads_pinned) {
      const double kernel = seconds_each(200, [&] {
        must(stream_->copy_pieces(from_host));
        wait();
      });
      row("  gathered by a kernel", kernel * 1e6, "us");
      row("  times faster than 64 copies", copies / kernel, "");
    }
    row("64 pieces of 4 KB on the GPU, 64 copies", copies_within * 1e6, "us");
    row("  gathered by a kernel", kernel_within * 1e6, "us");
    row("  times faster than 64 copies", copies_within / kernel_within, "");
  }

  void overlap() {
    // As much computing as the copies in and out take together.
    const double copies = batch_seconds(1, 0, true);
    const double computed_once = std::max(batch_seconds(1, 64, true) - copies, 1e-9) / 64;
    const auto num_copies = static_cast<std::size_t>(copies / computed_once) + 1;
    const double one = batch_seconds(1, num_copies, true);
    const double two = batch_seconds(2, num_copies, true);
    const double compute = one - copies;
    row("a batch of 32 images there and back, one under way", copies * 1e6, "us");
    row("  its computing, made about as long", compute * 1e6, "us");
    row("  both, one batch under way", one * 1e6, "us");
    row("  both, two batches under way", two * 1e6, "us");
    row("  two under way, over the longer of copying and computing",
        100 * two / std::max(copies, compute) - 100, "%");
  }

  Gpus gpus_;
  DevicePool& pool_;
  std::unique_ptr<TensorPool> host_ = make_arena_pool(1024 * kMiB, 1024 * kMiB);
  SteadyClock clock_;
  Discard sink_;
  std::unique_ptr<GpuStream> stream_;
  std::unique_ptr<GpuEvent> event_;
  std::shared_ptr<const ModelSpec> model_;
  std::vector<BufferRef> images_;
  double bus_gb_s_ = 0;
};

}  // namespace
}  // namespace naiad

int main(int argc, char** argv) {
  const std::string absence = naiad::gpu_absence();
  if (!absence.empty()) {
    std::printf("gpu: not measured: %s\n", absence.c_str());
    return 0;
  }
  try {
    naiad::Bench(argc > 1 ? std::atoi(argv[1]) : 0).run();
  } catch (const naiad::Error& error) {
    std::fprintf(stderr, "gpu: %s\n", error.what());
    return 1;
  }
  return 0;
}
