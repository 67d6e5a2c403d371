#include "memory/arena_pool.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "base/log.h"
#include "memory/poison.h"

namespace naiad {
namespace {

constexpr std::uint32_t kNoSlot = std::numeric_limits<std::uint32_t>::max();
// Small blocks are cut so many bytes at a time; blocks from kPagedBlockBytes on are whole pages, one each.
constexpr std::size_t kSlabBytes = std::size_t{64} << 10;
constexpr std::size_t kPagedBlockBytes = std::size_t{16} << 10;

std::size_t align_up(std::size_t value, std::size_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

// The Buffer that an owner sees: built in its slot by hand_out, destroyed there by the last owner.
class ArenaPool::Block final : public Buffer {
 public:
  Block(std::byte* data, std::size_t size_bytes, ArenaPool* pool, std::uint32_t index)
      : Buffer(data, size_bytes), index_(index), pool_(pool) {}
  ~Block() override = default;

 private:
  void release() noexcept override {
    ArenaPool* const pool = pool_;
    const std::uint32_t index = index_;
    std::destroy_at(this);
    pool->take_back(index);
  }

  const std::uint32_t index_;
  ArenaPool* const pool_;
};

// One cache line per block of the arena. All but the link is touched only by whoever owns the block: the
// pool's caller, or the thread that moves it into or out of a free list.
// `block` is room only. NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct alignas(kCacheLineBytes) ArenaPool::Slot {
  std::atomic<std::uint32_t> link{kNoSlot};  // relaxed: ordered by the FreeList's top
  std::uint16_t size_class = 0;
  bool resident = false;  // handed out since it was cut or since its pages were given back
  std::uint64_t offset = 0;
  alignas(Block) std::array<std::byte, sizeof(Block)> block;

  bool large() const { return block_size_bytes(size_class) >= kLargeBlockBytes; }
};

std::atomic<std::uint32_t>& ArenaPool::Links::operator()(std::uint32_t index) const {
  return pool->slot_at(index).link;
}

namespace {

// Guaranteed elision: an Arena never moves.
Arena arena_of(const ArenaPoolOptions& options) {
  if (options.arena_fd < 0) return Arena(options.capacity_bytes);
  return Arena(options.arena_fd, options.capacity_bytes, Arena::Access::kReadWrite);
}

}  // namespace

ArenaPool::ArenaPool(const ArenaPoolOptions& options)
    : options_(options), arena_(arena_of(options)), pinning_(options.pinned_limit_bytes != 0) {
  static_assert(sizeof(Slot) == kCacheLineBytes && kNoSlot == FreeList<Links>::kNone);
}

ArenaPool::~ArenaPool() {
#ifndef NDEBUG
  log_blocks_out();
#endif
  // The sanitizer does not notice that other things may be mapped here.
  unpoison(arena_.data(), cursor_);
  for (std::byte* start : pinned_) options_.unpin(start);
  for (std::size_t i = 0; i < kNumSegments; ++i) {
    Slot* const slots = segments_[i].load(std::memory_order_relaxed);
    if (slots != nullptr) std::allocator<Slot>().deallocate(slots, kFirstSegmentSlots << i);
  }
}

BufferRef ArenaPool::try_allocate(std::size_t size_bytes) {
  if (size_bytes > std::min(arena_.capacity_bytes(), kMaxBlockBytes)) return {};
  const std::size_t size_class = size_class_of(size_bytes);
  const Links links{this};
  std::uint32_t index = classes_[size_class].free.try_pop(links);
  if (index == kNoSlot) index = cut(size_class);
  for (std::size_t bigger = size_class + 1; index == kNoSlot && bigger < kNumSizeClasses; ++bigger) {
    index = classes_[bigger].free.try_pop(links);
  }
  if (index == kNoSlot) return {};
  return hand_out(index, size_bytes);
}

BufferRef ArenaPool::hand_out(std::uint32_t index, std::size_t size_bytes) {
  Slot& slot = slot_at(index);
  Class& own = classes_[slot.size_class];
  own.out.fetch_add(1, std::memory_order_relaxed);
  if (!slot.resident) {
    slot.resident = true;
    own.resident.fetch_add(1, std::memory_order_relaxed);
  } else if (slot.large()) {
    cached_large_bytes_.fetch_sub(block_size_bytes(slot.size_class), std::memory_order_relaxed);
  }
  std::byte* const data = arena_.data() + slot.offset;
  unpoison(data, size_bytes);
  auto* const place = reinterpret_cast<Block*>(slot.block.data());
  return BufferRef::adopt(std::construct_at(place, data, size_bytes, this, index));
}

void ArenaPool::take_back(std::uint32_t index) noexcept {
  Slot& slot = slot_at(index);
  Class& own = classes_[slot.size_class];
  poison(arena_.data() + slot.offset, block_size_bytes(slot.size_class));
  if (slot.large()) {
    const std::size_t size_bytes = block_size_bytes(slot.size_class);
    const std::size_t cached = cached_large_bytes_.fetch_add(size_bytes, std::memory_order_relaxed);
    if (cached + size_bytes > options_.max_cached_large_bytes) give_back(slot);
  }
  own.out.fetch_sub(1, std::memory_order_relaxed);
  own.free.push(index, Links{this});
}

bool ArenaPool::give_back(Slot& slot) noexcept {
  const std::size_t size_bytes = block_size_bytes(slot.size_class);
  // The pages under a pinned range belong to the device's mapping: new ones in their place would not be what
  // DMA reads.
  const bool pinned = slot.offset < pinned_bytes_.load(std::memory_order_relaxed);
  if (pinned || !arena_.punch(slot.offset, size_bytes)) return false;
  cached_large_bytes_.fetch_sub(size_bytes, std::memory_order_relaxed);
  classes_[slot.size_class].resident.fetch_sub(1, std::memory_order_relaxed);
  slot.resident = false;
  return true;
}

void ArenaPool::trim() {
  {
    const std::lock_guard lock(growing_);
    if (cursor_ > arena_.capacity_bytes() / 2) return;
  }
  const Links links{this};
  std::vector<std::uint32_t> free;
  for (Class& own : classes_) {
    free.clear();
    for (std::uint32_t index = own.free.try_pop(links); index != kNoSlot; index = own.free.try_pop(links)) {
      Slot& slot = slot_at(index);
      free.push_back(index);
      if (!slot.large()) break;
      if (slot.resident) give_back(slot);
    }
    for (const std::uint32_t index : free) own.free.push(index, links);
  }
}

bool ArenaPool::is_pinned(const std::byte* data) const {
  // Others than this pool's own may be asked for: addresses are compared as numbers.
  const auto at = reinterpret_cast<std::uintptr_t>(data);
  const auto start = reinterpret_cast<std::uintptr_t>(arena_.data());
  return at >= start && at - start < pinned_bytes_.load(std::memory_order_relaxed);
}

// Makes blocks of a class that has none free: one for the caller, the others (of small classes) for the list.
std::uint32_t ArenaPool::cut(std::size_t size_class) {
  const std::size_t size_bytes = block_size_bytes(size_class);
  const bool paged = size_bytes >= kPagedBlockBytes;
  const std::size_t alignment_bytes = paged ? Arena::kPageBytes : kBlockUnitBytes;
  const std::size_t slab_bytes = paged ? size_bytes : kSlabBytes / size_bytes * size_bytes;
  const std::lock_guard lock(growing_);
  // Another thread may have cut a slab while this one waited.
  const std::uint32_t index = classes_[size_class].free.try_pop(Links{this});
  if (index != kNoSlot) return index;
  if (num_slots_ > kMaxSlots - kSlabBytes / kBlockUnitBytes) return kNoSlot;
  Range range{};
  if (!take_range(slab_bytes, alignment_bytes, range) && !take_range(size_bytes, alignment_bytes, range)) {
    return kNoSlot;
  }
  poison(arena_.data() + range.begin, range.end - range.begin);
  for (std::size_t offset = range.begin + size_bytes; offset < range.end; offset += size_bytes) {
    classes_[size_class].free.push(add_slot(size_class, offset), Links{this});
  }
  return add_slot(size_class, range.begin);
}

// Takes arena that was never cut: first from the gaps, then behind the cursor. Under growing_.
bool ArenaPool::take_range(std::size_t size_bytes, std::size_t alignment_bytes, Range& range) {
  for (Range& gap : gaps_) {
    const std::size_t begin = align_up(gap.begin, alignment_bytes);
    if (begin < gap.end && gap.end - begin >= size_bytes) {
      range = {begin, begin + size_bytes};
      // What alignment skips here (under a page) is lost.
      gap.begin = range.end;
      return true;
    }
  }
  std::size_t begin = align_up(cursor_, alignment_bytes);
  const std::size_t pinned = pinned_bytes_.load(std::memory_order_relaxed);
  // A block must not reach from one pinned range into the next: CUDA refuses copies that do.
  if (begin < pinned && size_bytes > pinned - begin) begin = pinned;
  if (begin > arena_.capacity_bytes() || size_bytes > arena_.capacity_bytes() - begin) return false;
  if (begin > cursor_) gaps_.push_back({cursor_, begin});
  std::erase_if(gaps_, [](const Range& gap) { return gap.begin >= gap.end; });
  range = {begin, begin + size_bytes};
  cursor_ = range.end;
  if (pinning_ && cursor_ > pinned) pin_up_to(cursor_);
  return true;
}

// Pins on from the last pinned range, in one piece, so that it covers `end`. Under growing_.
void ArenaPool::pin_up_to(std::size_t end) {
  const std::size_t begin = pinned_bytes_.load(std::memory_order_relaxed);
  const std::size_t limit = std::min(options_.pinned_limit_bytes, arena_.capacity_bytes());
  const std::size_t until =
      std::min(align_up(end, kPinStepBytes), limit / Arena::kPageBytes * Arena::kPageBytes);
  if (until < end) {
    pinning_ = false;
    return;
  }
  const Status status = options_.pin(arena_.data() + begin, until - begin);
  if (!status.ok()) {
    log_warning("tensor pool: " + std::to_string(begin) +
                " bytes are pinned, no more can be: " + status.message());
    pinning_ = false;
    return;
  }
  pinned_.push_back(arena_.data() + begin);
  pinned_bytes_.store(until, std::memory_order_relaxed);
}

ArenaPool::Slot& ArenaPool::slot_at(std::uint32_t index) const {
  const std::size_t place = index + kFirstSegmentSlots;
  const auto segment = static_cast<std::size_t>(std::bit_width(place / kFirstSegmentSlots)) - 1;
  return segments_[segment].load(std::memory_order_relaxed)[place - (kFirstSegmentSlots << segment)];
}

// A new slot, which the caller owns. Under growing_.
std::uint32_t ArenaPool::add_slot(std::size_t size_class, std::size_t offset) {
  const std::uint32_t index = num_slots_++;
  const std::size_t place = index + kFirstSegmentSlots;
  const auto segment = static_cast<std::size_t>(std::bit_width(place / kFirstSegmentSlots)) - 1;
  if (segments_[segment].load(std::memory_order_relaxed) == nullptr) {
    segments_[segment].store(std::allocator<Slot>().allocate(kFirstSegmentSlots << segment),
                             std::memory_order_relaxed);
  }
  Slot* const slot = std::construct_at(&slot_at(index));
  slot->size_class = static_cast<std::uint16_t>(size_class);
  slot->offset = offset;
  return index;
}

PoolUsage ArenaPool::usage() const {
  PoolUsage usage;
  usage.capacity_bytes = arena_.capacity_bytes();
  usage.pinned_bytes = pinned_bytes_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kNumSizeClasses; ++i) {
    usage.used_bytes += classes_[i].out.load(std::memory_order_relaxed) * block_size_bytes(i);
    usage.mapped_bytes += classes_[i].resident.load(std::memory_order_relaxed) * block_size_bytes(i);
  }
  return usage;
}

void ArenaPool::log_blocks_out() const {
  for (std::size_t i = 0; i < kNumSizeClasses; ++i) {
    const std::uint64_t out = classes_[i].out.load(std::memory_order_relaxed);
    if (out == 0) continue;
    log_error("tensor pool: destroyed while " + std::to_string(out) + " blocks of " +
              std::to_string(block_size_bytes(i)) + " bytes are out");
  }
}

}  // namespace naiad
