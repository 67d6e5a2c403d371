#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "fakes/gpu_kit.h"
#include "memory/device_pool.h"
#include "memory/tensor_pool.h"

// What every Gpu must do, on random data against the same done by the processor: run on the fake one
// everywhere, and on the real one where it is.
namespace naiad::test {

class GpuContract {
 public:
  // `host`: pinned memory.
  GpuContract(Gpu& gpu, TensorPool& host, std::uint32_t seed) : gpu_(gpu), host_(host), random_(seed) {}

  void copies_there_and_back() {
    for (const std::size_t size_bytes :
         {std::size_t{1}, std::size_t{17}, std::size_t{4096}, std::size_t{3} << 20}) {
      const BufferRef from = random_bytes(size_bytes);
      const BufferRef to = host_.try_allocate(size_bytes);
      const auto first = allocation_of(gpu_, size_bytes);
      const auto second = allocation_of(gpu_, size_bytes);
      CHECK(stream_->copy_to_gpu(first->data(), {from->data(), size_bytes}).ok());
      CHECK(stream_->copy_within(second->data(), {first->data(), size_bytes}).ok());
      CHECK(stream_->copy_to_host({to->data(), size_bytes}, second->data()).ok());
      end();
      CHECK(std::memcmp(to->data(), from->data(), size_bytes) == 0);
    }
  }

  // Pieces of random sizes at random places, gathered from the GPU or from pinned memory into one block.
  void gathers(std::size_t count, std::size_t largest, bool from_host) {
    if (from_host && !gpu_.facts().reads_pinned) return;
    constexpr std::size_t kGap = 5;
    std::vector<std::size_t> sizes;
    std::size_t total = 0;
    for (std::size_t i = 0; i < count; ++i) {
      // All sizes and alignments, and those of vectors above all.
      const std::size_t size = random_() % (largest + 1);
      sizes.push_back(i % 2 == 0 ? size / 16 * 16 : size);
      total += sizes.back();
    }
    const std::size_t spread = total + kGap * count;
    const BufferRef from = random_bytes(spread);
    const auto on_gpu = allocation_of(gpu_, spread);
    const auto block = allocation_of(gpu_, std::max<std::size_t>(total, 1));
    CHECK(stream_->copy_to_gpu(on_gpu->data(), {from->data(), spread}).ok());
    const std::byte* const source = from_host ? from->data() : on_gpu->data();
    std::vector<CopyPiece> pieces;
    std::vector<std::byte> expected;
    std::size_t at = 0;
    for (const std::size_t size : sizes) {
      pieces.push_back({source + at, block->data() + expected.size(), size});
      expected.insert(expected.end(), from->data() + at, from->data() + at + size);
      at += size + random_() % (kGap + 1);
    }
    CHECK(stream_->copy_pieces(pieces).ok());
    check_on_gpu(block->data(), expected);
    // And scattered again, in another order, over bytes of which none may change in between.
    const auto back = allocation_of(gpu_, spread);
    const std::vector<std::byte> blank(spread, std::byte{0x3C});
    CHECK(stream_->copy_to_gpu(back->data(), blank).ok());
    std::vector<std::byte> scattered = blank;
    for (CopyPiece& piece : pieces) {
      const auto place = piece.from - source;
      std::memcpy(scattered.data() + place, from->data() + place, piece.size_bytes);
      piece = {piece.to, back->data() + place, piece.size_bytes};
    }
    std::ranges::shuffle(pieces, random_);
    CHECK(stream_->copy_pieces(pieces).ok());
    check_on_gpu(back->data(), scattered);
  }

  void orders_streams_by_events() {
    const auto other = stream_of(gpu_, StreamPriority::kHigh);
    constexpr std::size_t kBytes = std::size_t{8} << 20;
    const auto block = allocation_of(gpu_, kBytes);
    for (int round = 0; round < 10; ++round) {
      const BufferRef from = random_bytes(kBytes);
      const BufferRef to = host_.try_allocate(kBytes);
      CHECK(stream_->copy_to_gpu(block->data(), {from->data(), kBytes}).ok());
      CHECK(event_->record(*stream_).ok());
      CHECK(other->wait(*event_).ok());
      CHECK(other->copy_to_host({to->data(), kBytes}, block->data()).ok());
      CHECK(event_->record(*other).ok());
      CHECK(event_->wait().ok());
      bool is_reached = false;
      CHECK(event_->query(is_reached).ok());
      CHECK(is_reached);
      CHECK(std::memcmp(to->data(), from->data(), kBytes) == 0);
    }
  }

  void an_event_that_was_never_recorded_is_reached() {
    const auto event = event_of(gpu_);
    bool is_reached = false;
    CHECK(event->query(is_reached).ok());
    CHECK(is_reached);
    CHECK(event->wait().ok());
    CHECK(stream_->wait(*event).ok());
    end();
  }

  void replays_graphs() {
    constexpr std::size_t kBytes = 10'000;
    const BufferRef from = random_bytes(kBytes);
    const BufferRef to = host_.try_allocate(kBytes);
    const auto first = allocation_of(gpu_, kBytes);
    const auto second = allocation_of(gpu_, kBytes);
    const std::vector<CopyPiece> pieces = {{first->data(), second->data(), kBytes}};
    REQUIRE(stream_->begin_capture().ok());
    CHECK(event_->record(*stream_).code() == Code::kUnavailable);
    CHECK(stream_->copy_to_gpu(first->data(), {from->data(), kBytes}).ok());
    CHECK(stream_->copy_pieces(pieces).ok());
    CHECK(stream_->copy_to_host({to->data(), kBytes}, second->data()).ok());
    std::unique_ptr<GpuGraph> graph;
    REQUIRE(stream_->end_capture(graph).ok());
    for (int round = 0; round < 3; ++round) {
      fill(*from.get());
      CHECK(stream_->launch(*graph).ok());
      end();
      CHECK(std::memcmp(to->data(), from->data(), kBytes) == 0);
    }
  }

  void refuses_more_memory_than_there_is() {
    std::unique_ptr<GpuAllocation> allocation;
    CHECK(gpu_.allocate(std::size_t{1} << 50, allocation).code() == Code::kUnavailable);
    CHECK_FALSE(allocation);
    // It goes on as before.
    copies_there_and_back();
  }

  void pools_memory() {
    auto gpu = std::shared_ptr<Gpu>(&gpu_, [](Gpu*) {});
    DevicePool pool(gpu);
    const DevicePool::Stream stream = stream_of(gpu_);
    const auto budget = std::make_shared<DeviceBudget>("model 'm'");
    for (int round = 0; round < 20; ++round) {
      const std::size_t size_bytes = 1 + random_() % (1 << 20);
      BufferRef block;
      REQUIRE(pool.allocate(size_bytes, stream, budget, block).ok());
      const BufferRef from = random_bytes(size_bytes);
      const BufferRef to = host_.try_allocate(size_bytes);
      CHECK(stream->copy_to_gpu(block->data(), {from->data(), size_bytes}).ok());
      CHECK(stream->copy_to_host({to->data(), size_bytes}, block->data()).ok());
      block = {};
      CHECK(stream->drain().ok());
      CHECK(std::memcmp(to->data(), from->data(), size_bytes) == 0);
    }
    pool.trim();
    CHECK(pool.usage().cached_bytes == 0);
  }

 private:
  void fill(Buffer& buffer) {
    for (std::size_t i = 0; i < buffer.size_bytes(); ++i)
      buffer.data()[i] = static_cast<std::byte>(random_());
  }
  BufferRef random_bytes(std::size_t size_bytes) {
    BufferRef buffer = host_.try_allocate(size_bytes);
    REQUIRE(buffer);
    fill(*buffer.get());
    return buffer;
  }
  void end() {
    CHECK(event_->record(*stream_).ok());
    CHECK(event_->wait().ok());
  }
  void check_on_gpu(const std::byte* data, const std::vector<std::byte>& expected) {
    std::vector<std::byte> found(expected.size());
    CHECK(stream_->copy_to_host(found, data).ok());
    end();
    CHECK(found == expected);
  }

  Gpu& gpu_;
  TensorPool& host_;
  std::mt19937 random_;
  std::unique_ptr<GpuStream> stream_ = stream_of(gpu_);
  std::unique_ptr<GpuEvent> event_ = event_of(gpu_);
};

inline void check_contract(Gpu& gpu, TensorPool& host, std::uint32_t seed) {
  CAPTURE(seed);
  GpuContract contract(gpu, host, seed);
  contract.copies_there_and_back();
  for (const bool from_host : {false, true}) {
    contract.gathers(0, 100, from_host);
    contract.gathers(1, 100'000, from_host);
    contract.gathers(64, 4096, from_host);
    contract.gathers(300, 700, from_host);
    contract.gathers(kMaxCopyPieces + 3, 50, from_host);
    contract.gathers(3, std::size_t{4} << 20, from_host);
  }
  contract.orders_streams_by_events();
  contract.an_event_that_was_never_recorded_is_reached();
  contract.replays_graphs();
  contract.refuses_more_memory_than_there_is();
  contract.pools_memory();
}

}  // namespace naiad::test
