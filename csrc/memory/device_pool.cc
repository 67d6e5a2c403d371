#include "memory/device_pool.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

namespace naiad {
namespace {

// A GPU's memory is not cut finer than this.
constexpr std::size_t kSmallestBlockBytes = 512;

std::string mib(std::size_t size_bytes) {
  std::array<char, 32> text{};
  const auto length =
      std::snprintf(text.data(), text.size(), "%.1f MiB", static_cast<double>(size_bytes) / (1 << 20));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace

bool DeviceBudget::try_take(std::size_t size_bytes) {
  const std::size_t used = used_bytes_.fetch_add(size_bytes, std::memory_order_relaxed) + size_bytes;
  if (limit_bytes_ != 0 && used > limit_bytes_) {
    give_back(size_bytes);
    return false;
  }
  std::size_t peak = peak_bytes();
  while (used > peak && !peak_bytes_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
  return true;
}

bool DeviceBudget::try_leave(std::size_t size_bytes, std::size_t most_bytes) {
  if (left_bytes_.fetch_add(size_bytes, std::memory_order_relaxed) + size_bytes <= most_bytes) return true;
  taken_up(size_bytes);
  return false;
}

class DevicePool::Block final : public Buffer {
 public:
  Block(Allocation memory, std::size_t size_bytes, DevicePool& pool, Stream stream, Budget budget)
      : Buffer(memory->data(), size_bytes, {DeviceKind::kGpu, pool.gpu().device()}),
        share_(pool.weak_from_this().lock()),
        memory_(std::move(memory)),
        pool_(pool),
        stream_(std::move(stream)),
        budget_(std::move(budget)) {}
  ~Block() override = default;

 private:
  friend class DevicePool;
  void release() noexcept override {
    const auto share = std::move(share_);  // goes last
    const std::unique_ptr<Block> self(this);
    pool_.take_back(*this);
  }

  std::shared_ptr<DevicePool> share_;
  Allocation memory_;
  DevicePool& pool_;
  Stream stream_;
  Budget budget_;
};

DevicePool::DevicePool(std::shared_ptr<Gpu> gpu, DevicePoolOptions options)
    : gpu_(std::move(gpu)), options_(options) {}

DevicePool::~DevicePool() {
  empty_cache();
}

Status DevicePool::allocate(std::size_t size_bytes, const Stream& stream, const Budget& budget,
                            BufferRef& block) {
  if (size_bytes > kMaxBlockBytes) return refusal(size_bytes, *budget);
  const std::size_t size_class = size_class_of(std::max(size_bytes, kSmallestBlockBytes));
  const std::size_t block_bytes = block_size_bytes(size_class);
  if (!budget->try_take(block_bytes)) return refusal(block_bytes, *budget);
  Allocation memory;
  bool is_reused = false;
  {
    const std::lock_guard lock(mutex_);
    is_reused = try_reuse(size_class, stream, memory);
  }
  if (!is_reused) {
    if (Status status = allocate_new(block_bytes, *budget, memory); !status.ok()) {
      budget->give_back(block_bytes);
      return status;
    }
  }
  block = BufferRef::adopt(
      std::make_unique<Block>(std::move(memory), size_bytes, *this, stream, budget).release());
  return {};
}

Status DevicePool::allocate_new(std::size_t size_bytes, const DeviceBudget& budget, Allocation& memory) {
  for (const bool is_second_try : {false, true}) {
    if (is_second_try) empty_cache();
    {
      const std::lock_guard lock(mutex_);
      if (!fits(size_bytes)) continue;
      usage_.used_bytes += size_bytes;  // now, or others would take the same room
    }
    Status status = gpu_->allocate(size_bytes, memory);
    if (status.ok()) return status;
    {
      const std::lock_guard lock(mutex_);
      usage_.used_bytes -= size_bytes;
    }
    if (status.code() != Code::kUnavailable) return status;
  }
  return refusal(size_bytes, budget);
}

bool DevicePool::fits(std::size_t size_bytes) const {
  if (options_.limit_bytes == 0) return true;
  const std::size_t held = usage_.used_bytes + usage_.cached_bytes;
  return size_bytes <= options_.limit_bytes && held <= options_.limit_bytes - size_bytes;
}

bool DevicePool::is_ready(const Free& free) const {
  if (!free.stream) return true;
  bool is_reached = false;
  return free.ready && free.ready->query(is_reached).ok() && is_reached;
}

bool DevicePool::try_reuse(std::size_t size_class, const Stream& stream, Allocation& memory) {
  std::vector<Free>& blocks = free_[size_class];
  // The last one that came back is the first to go: graphs of the same work find the same addresses.
  auto found =
      std::find_if(blocks.rbegin(), blocks.rend(), [&](const Free& free) { return free.stream == stream; });
  if (found == blocks.rend()) {
    found = std::find_if(blocks.rbegin(), blocks.rend(), [&](const Free& free) { return is_ready(free); });
  }
  if (found == blocks.rend()) return false;
  memory = std::move(found->memory);
  if (found->ready) events_.push_back(std::move(found->ready));
  blocks.erase(std::next(found).base());
  usage_.cached_bytes -= memory->size_bytes();
  usage_.used_bytes += memory->size_bytes();
  return true;
}

void DevicePool::take_back(Block& block) noexcept {
  const std::size_t size_bytes = block.memory_->size_bytes();
  block.budget_->give_back(size_bytes);
  const std::lock_guard lock(mutex_);
  std::unique_ptr<GpuEvent> ready;
  if (is_gone(block.stream_)) {
    block.stream_.reset();
  } else if (!events_.empty()) {
    ready = std::move(events_.back());
    events_.pop_back();
  } else if (!gpu_->make_event(ready).ok()) {
    ready.reset();
  }
  // A stream that captures cannot be marked, one of a failed device neither: then the block is its alone.
  if (ready && !ready->record(*block.stream_).ok()) events_.push_back(std::move(ready));
  usage_.used_bytes -= size_bytes;
  usage_.cached_bytes += size_bytes;
  free_[size_class_of(size_bytes)].push_back(
      {std::move(block.memory_), std::move(block.stream_), std::move(ready), num_looks_});
}

bool DevicePool::is_gone(const Stream& stream) const {
  return std::ranges::any_of(gone_, [&](const auto& gone) { return gone.lock() == stream; });
}

void DevicePool::let_go(const Stream& stream) {
  const std::lock_guard lock(mutex_);
  for (std::vector<Free>& blocks : free_) {
    for (Free& free : blocks) {
      if (free.stream != stream) continue;
      free.stream.reset();
      if (free.ready) events_.push_back(std::move(free.ready));
    }
  }
  std::erase_if(gone_, [](const auto& gone) { return gone.expired(); });
  gone_.push_back(stream);
}

void DevicePool::trim(std::size_t keep_bytes) {
  give_back(keep_bytes, [](const Free&, std::uint64_t) { return true; });
}

void DevicePool::trim_stale() {
  give_back(options_.keep_bytes,
            [](const Free& free, std::uint64_t num_looks) { return free.since < num_looks; });
  const std::lock_guard lock(mutex_);
  ++num_looks_;
}

void DevicePool::give_back(std::size_t keep_bytes, Goes goes) {
  std::vector<Free> gone;  // ends without the lock: it may take its time
  const std::lock_guard lock(mutex_);
  // The largest first: fewer are to be allocated again.
  for (auto blocks = free_.rbegin(); blocks != free_.rend(); ++blocks) {
    std::erase_if(*blocks, [&](Free& free) {
      if (usage_.cached_bytes <= keep_bytes || !goes(free, num_looks_) || !is_ready(free)) return false;
      usage_.cached_bytes -= free.memory->size_bytes();
      gone.push_back(std::move(free));
      return true;
    });
  }
}

void DevicePool::empty_cache() {
  std::vector<Free> gone;
  {
    const std::lock_guard lock(mutex_);
    for (std::vector<Free>& blocks : free_) {
      for (Free& free : blocks) gone.push_back(std::move(free));
      blocks.clear();
    }
  }
  std::size_t freed_bytes = 0;
  for (Free& free : gone) {
    // Those of a stream that was captured wait at their end, in the device.
    if (free.ready) static_cast<void>(free.ready->wait());
    freed_bytes += free.memory->size_bytes();
    free.memory.reset();
  }
  const std::lock_guard lock(mutex_);
  usage_.cached_bytes -= freed_bytes;
}

DevicePoolUsage DevicePool::usage() const {
  const std::lock_guard lock(mutex_);
  return usage_;
}

Status DevicePool::refusal(std::size_t size_bytes, const DeviceBudget& budget) const {
  std::string why = budget.owner() + " cannot have " + mib(size_bytes) + " more on GPU " +
                    std::to_string(gpu_->device()) + ": it has " + mib(budget.used_bytes());
  if (budget.limit_bytes() != 0) why += " of the " + mib(budget.limit_bytes()) + " that it may have";
  const DevicePoolUsage used = usage();
  why += ", all models together " + mib(used.used_bytes);
  if (options_.limit_bytes != 0) why += " of " + mib(options_.limit_bytes);
  GpuMemoryUse device;
  if (gpu_->memory(device).ok()) {
    why += "; of the GPU's " + mib(device.total_bytes) + " are " + mib(device.free_bytes) + " free";
  }
  return {Code::kUnavailable, why + "; try again later"};
}

}  // namespace naiad
