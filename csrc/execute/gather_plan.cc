#include "execute/gather_plan.h"

#include <algorithm>

namespace naiad {

GatherWay plan_gather(std::span<const GatherPiece> pieces, std::size_t threshold, bool reads_pinned) {
  const auto all = [&](auto&& holds) { return std::ranges::all_of(pieces, holds); };
  const auto in_reach = [&](const GatherPiece& piece) {
    return piece.place == PiecePlace::kGpu || (piece.place == PiecePlace::kPinned && reads_pinned);
  };
  if (threshold != 0 && pieces.size() >= threshold && pieces.size() > 1 && all(in_reach)) {
    return GatherWay::kKernel;
  }
  const auto on_host = [](const GatherPiece& piece) {
    return piece.place == PiecePlace::kPageable || piece.place == PiecePlace::kPinned;
  };
  if (pieces.empty() || !all(on_host)) return GatherWay::kCopies;
  // The caller would wait for copies of pageable memory.
  const auto is_pinned = [](const GatherPiece& piece) { return piece.place == PiecePlace::kPinned; };
  if (!all(is_pinned)) return GatherWay::kThroughHost;
  std::size_t size_bytes = 0;
  for (const GatherPiece& piece : pieces) size_bytes += piece.size_bytes;
  const bool are_small = size_bytes / pieces.size() <= kSmallPieceBytes;
  return pieces.size() > kFewPieces && are_small ? GatherWay::kThroughHost : GatherWay::kCopies;
}

}  // namespace naiad
