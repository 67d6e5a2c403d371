#pragma once

#include <cstddef>
#include <span>

namespace naiad {

// Where a piece of a batch's input lies.
enum class PiecePlace : unsigned char { kPageable, kPinned, kGpu, kPeer };

// The way of an input's pieces into one block on the GPU.
enum class GatherWay : unsigned char {
  kCopies,       // each by a copy of its own
  kKernel,       // all in one launch
  kThroughHost,  // put together in one block of the host, and that by one copy
};

struct GatherPiece {
  const std::byte* from = nullptr;
  std::size_t size_bytes = 0;
  PiecePlace place = PiecePlace::kPageable;
  int device = 0;  // of a peer
};

// A copy has a cost of its own, some microseconds, whatever it copies: of pieces up to this size the
// processor puts together many in that time.
inline constexpr std::size_t kSmallPieceBytes = std::size_t{32} << 10;
inline constexpr std::size_t kFewPieces = 4;

// Which way is the quickest. `threshold`: from so many pieces on a kernel may be used, 0: never
// (optimization.gather_kernel_buffer_threshold); `reads_pinned`: it can read memory of the host. Pure.
GatherWay plan_gather(std::span<const GatherPiece> pieces, std::size_t threshold, bool reads_pinned);

}  // namespace naiad
