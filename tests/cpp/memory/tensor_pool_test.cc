#include "memory/tensor_pool.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "memory/arena_pool.h"

namespace {
// Counts the heap allocations of this thread, through the replaced operator new below.
thread_local std::size_t num_allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  ++num_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace naiad {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::size_t resident_bytes(int fd) {
  struct stat status{};
  REQUIRE(fstat(fd, &status) == 0);
  return static_cast<std::size_t>(status.st_blocks) * 512;
}

TEST_CASE("pool: a block is aligned, writable, and as big as asked for") {
  auto pool = make_arena_pool(64 * kMiB);
  for (const std::size_t size_bytes : {0UL, 1UL, 64UL, 65UL, 4096UL, 100'000UL, 3'000'000UL}) {
    const BufferRef block = pool->try_allocate(size_bytes);
    REQUIRE(block);
    CHECK(block->size_bytes() == size_bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block->data()) % 64 == 0);
    CHECK(block->device() == Device{});
    std::memset(block->data(), 0x5a, size_bytes);
    CHECK(block.unique());
  }
  CHECK(pool->usage().used_bytes == 0);
}

TEST_CASE("pool: a freed block is the next one given, and costs no heap allocation") {
  auto pool = make_arena_pool(kMiB);
  const std::byte* data = pool->try_allocate(1000)->data();
  const std::size_t before = num_allocations;
  for (int i = 0; i < 1000; ++i) {
    const BufferRef block = pool->try_allocate(1000);
    const BufferRef second_owner = block;
    if (block->data() != data) FAIL("another block");
  }
  CHECK(num_allocations == before);
}

TEST_CASE("pool: the last owner gives the block back, whoever that is") {
  auto pool = make_arena_pool(kMiB);
  BufferRef first = pool->try_allocate(100);
  BufferRef second = first;
  first = {};
  CHECK(pool->usage().used_bytes == 128);
  second = {};
  CHECK(pool->usage().used_bytes == 0);
  CHECK(pool->usage().mapped_bytes == 128);
}

TEST_CASE("pool: exhausted is an empty answer, and over when blocks return") {
  auto pool = make_arena_pool(kMiB);
  CHECK_FALSE(pool->try_allocate(kMiB + 1));
  CHECK_FALSE(pool->try_allocate(SIZE_MAX));
  std::vector<BufferRef> blocks;
  while (BufferRef block = pool->try_allocate(60'000)) blocks.push_back(std::move(block));
  CHECK(blocks.size() == 16);
  CHECK(pool->usage().used_bytes == 16 * 65'536);
  blocks.pop_back();
  CHECK(pool->try_allocate(60'000));
  // Nothing is left to cut for the class of 100 bytes: the free block of a bigger class serves.
  const BufferRef small = pool->try_allocate(100);
  REQUIRE(small);
  CHECK(small->size_bytes() == 100);
  CHECK(pool->usage().used_bytes == 16 * 65'536);
  CHECK_FALSE(pool->try_allocate(100));
}

TEST_CASE("pool: the space that page alignment skips is used by small blocks") {
  auto pool = make_arena_pool(8 * Arena::kPageBytes);
  const BufferRef page_run = pool->try_allocate(7 * Arena::kPageBytes);
  REQUIRE(page_run);
  std::vector<BufferRef> blocks;
  while (BufferRef block = pool->try_allocate(64)) blocks.push_back(std::move(block));
  CHECK(blocks.size() == Arena::kPageBytes / 64);
}

TEST_CASE("pool: a gap in the middle is found again") {
  auto mixed = make_arena_pool(32 * Arena::kPageBytes);
  const BufferRef odd =
      mixed->try_allocate(7 * 1024);  // a slab of nine: a quarter of a page short of 16 pages
  const BufferRef paged = mixed->try_allocate(16 * Arena::kPageBytes);
  REQUIRE(paged);
  CHECK(reinterpret_cast<std::uintptr_t>(paged->data()) % Arena::kPageBytes == 0);
  std::vector<BufferRef> blocks;
  while (BufferRef block = mixed->try_allocate(64)) blocks.push_back(std::move(block));
  CHECK(blocks.size() == Arena::kPageBytes / 4 / 64 + 8);  // the gap, then the free blocks of 7 KiB
}

TEST_CASE("pool: an arena that cannot be made is an error") {
  CHECK_THROWS_AS(make_arena_pool(0), Error);
  CHECK_THROWS_AS(make_arena_pool(std::size_t{1} << 60), Error);
}

TEST_CASE("pool: the arena can be mapped by its descriptor, and not be shrunk under us") {
  auto pool = make_arena_pool(kMiB);
  const BufferRef first = pool->try_allocate(64);
  const BufferRef block = pool->try_allocate(64);
  std::memcpy(block->data(), "naiad", 6);
  void* other = mmap(nullptr, kMiB, PROT_READ, MAP_SHARED, pool->arena_fd(), 0);
  REQUIRE(other != MAP_FAILED);
  bool found = false;
  for (std::size_t i = 0; i + 6 <= kMiB && !found; i += 64) {
    found = std::memcmp(static_cast<const char*>(other) + i, "naiad", 6) == 0;
  }
  munmap(other, kMiB);
  CHECK(found);
  CHECK(ftruncate(pool->arena_fd(), 0) == -1);
  CHECK(errno == EPERM);
  CHECK((fcntl(pool->arena_fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("pool: large blocks over the bound give their memory back, and work again") {
  ArenaPoolOptions options;
  options.capacity_bytes = 64 * kMiB;
  options.max_cached_large_bytes = 2 * kMiB;
  ArenaPool pool(options);
  std::vector<BufferRef> blocks;
  for (int i = 0; i < 6; ++i) {
    blocks.push_back(pool.try_allocate(kMiB));
    std::memset(blocks.back()->data(), i, kMiB);
  }
  CHECK(resident_bytes(pool.arena_fd()) == 6 * kMiB);
  CHECK(pool.usage().mapped_bytes == 6 * kMiB);
  blocks.clear();
  CHECK(resident_bytes(pool.arena_fd()) == 2 * kMiB);
  CHECK(pool.usage().mapped_bytes == 2 * kMiB);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 6; ++i) {
      blocks.push_back(pool.try_allocate(kMiB));
      REQUIRE(blocks.back());
      std::memset(blocks.back()->data(), i, kMiB);
    }
    CHECK(resident_bytes(pool.arena_fd()) == 6 * kMiB);
    blocks.clear();
    CHECK(resident_bytes(pool.arena_fd()) == 2 * kMiB);
  }
}

TEST_CASE("pool: what is free and large gives its memory back when it is trimmed, and works again") {
  ArenaPoolOptions options;
  options.capacity_bytes = 64 * kMiB;
  ArenaPool pool(options);
  std::vector<BufferRef> blocks;
  for (int i = 0; i < 6; ++i) {
    blocks.push_back(pool.try_allocate(kMiB));
    std::memset(blocks.back()->data(), i, kMiB);
  }
  const BufferRef kept = blocks[2];
  blocks.clear();
  CHECK(pool.usage().mapped_bytes == 6 * kMiB);
  pool.trim();
  CHECK(pool.usage().mapped_bytes == kMiB);
  CHECK(resident_bytes(pool.arena_fd()) == kMiB);
  CHECK(std::to_integer<int>(kept->data()[kMiB - 1]) == 2);
  for (int i = 0; i < 6; ++i) {
    blocks.push_back(pool.try_allocate(kMiB));
    REQUIRE(blocks.back());
    std::memset(blocks.back()->data(), i, kMiB);
  }
  CHECK(pool.usage().mapped_bytes == 7 * kMiB);
}

struct PinCall {
  std::byte* data;
  std::size_t size_bytes;
};
std::vector<PinCall> pinned;
std::size_t num_pins_allowed = 0;

Status fake_pin(void* data, std::size_t size_bytes) {
  if (pinned.size() == num_pins_allowed) return {Code::kUnsupported, "no more"};
  pinned.push_back({static_cast<std::byte*>(data), size_bytes});
  return {};
}
void fake_unpin(void* data) {
  std::erase_if(pinned, [data](const PinCall& call) { return call.data == data; });
}

ArenaPoolOptions pinning_options(std::size_t limit_bytes) {
  ArenaPoolOptions options;
  options.capacity_bytes = 128 * kMiB;
  options.pinned_limit_bytes = limit_bytes;
  options.pin = &fake_pin;
  options.unpin = &fake_unpin;
  options.max_cached_large_bytes = 0;
  return options;
}

TEST_CASE("pool: the arena is pinned step by step, up to the limit, and no block lies across two ranges") {
  num_pins_allowed = 100;
  {
    ArenaPool pool(pinning_options(40 * kMiB));
    CHECK(pinned.empty());
    std::vector<BufferRef> blocks;
    blocks.push_back(pool.try_allocate(10 * kMiB));
    CHECK(pool.usage().pinned_bytes == 16 * kMiB);
    blocks.push_back(pool.try_allocate(10 * kMiB));  // does not fit into the first range
    blocks.push_back(pool.try_allocate(10 * kMiB));  // would pass the limit
    CHECK(pool.usage().pinned_bytes == 32 * kMiB);
    blocks.push_back(pool.try_allocate(5 * kMiB));  // fits into the rest of the first range
    blocks.push_back(pool.try_allocate(20 * kMiB));
    CHECK(pool.usage().pinned_bytes == 32 * kMiB);
    REQUIRE(pinned.size() == 2);
    const std::byte* arena = pinned[0].data;
    CHECK(blocks[0]->data() == arena);
    CHECK(blocks[1]->data() == arena + 16 * kMiB);
    CHECK(blocks[2]->data() == arena + 32 * kMiB);
    CHECK(blocks[3]->data() == arena + 10 * kMiB);
    CHECK(pool.is_pinned(blocks[0]->data()));
    CHECK(pool.is_pinned(blocks[1]->data()));
    CHECK_FALSE(pool.is_pinned(blocks[2]->data()));
    CHECK_FALSE(pool.is_pinned(make_heap_buffer(1)->data()));
    // Memory under a pinned range stays: DMA is bound to these pages.
    std::memset(blocks[0]->data(), 1, 10 * kMiB);
    std::memset(blocks[4]->data(), 1, 20 * kMiB);
    blocks.clear();
    CHECK(resident_bytes(pool.arena_fd()) == 10 * kMiB);
  }
  CHECK(pinned.empty());
}

TEST_CASE("pool: where pinning fails, the pool goes on without") {
  num_pins_allowed = 1;
  {
    ArenaPool pool(pinning_options(100 * kMiB));
    const BufferRef first = pool.try_allocate(16 * kMiB);
    const BufferRef second = pool.try_allocate(16 * kMiB);
    const BufferRef third = pool.try_allocate(16 * kMiB);
    REQUIRE(third);
    CHECK(pool.usage().pinned_bytes == 16 * kMiB);
    CHECK(pool.is_pinned(first->data()));
    CHECK_FALSE(pool.is_pinned(second->data()));
  }
  CHECK(pinned.empty());
}

#ifndef NDEBUG
TEST_CASE("pool: a debug build says which blocks never came back") {
  // Never destroyed: an owner that outlives the pool.
  alignas(BufferRef) static std::array<std::byte, sizeof(BufferRef)> forgotten;
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  auto pool = make_arena_pool(kMiB);
  std::construct_at(reinterpret_cast<BufferRef*>(forgotten.data()), pool->try_allocate(100));
  const int saved = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  pool.reset();
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[1]);
  std::array<char, 512> text{};
  const ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  REQUIRE(size > 0);
  const std::string_view line(text.data(), static_cast<std::size_t>(size));
  CHECK(line.find("1 blocks of 128 bytes are out") != std::string_view::npos);
}
#endif

}  // namespace
}  // namespace naiad
