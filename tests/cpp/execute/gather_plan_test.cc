#include "execute/gather_plan.h"

#include <doctest/doctest.h>

#include <vector>

using namespace naiad;

namespace {

GatherWay way(std::vector<GatherPiece> pieces, std::size_t threshold = 0, bool reads_pinned = true) {
  return plan_gather(pieces, threshold, reads_pinned);
}

std::vector<GatherPiece> pieces(std::size_t count, std::size_t size_bytes, PiecePlace place) {
  return std::vector<GatherPiece>(count, {nullptr, size_bytes, place, 0});
}

}  // namespace

TEST_CASE("gather plan: few or large pinned pieces are copied one by one, many small ones together") {
  CHECK(way(pieces(1, 100, PiecePlace::kPinned)) == GatherWay::kCopies);
  CHECK(way(pieces(64, 600'000, PiecePlace::kPinned)) == GatherWay::kCopies);
  CHECK(way(pieces(kFewPieces, 100, PiecePlace::kPinned)) == GatherWay::kCopies);
  CHECK(way(pieces(64, 4096, PiecePlace::kPinned)) == GatherWay::kThroughHost);
  CHECK(way({}) == GatherWay::kCopies);
}

TEST_CASE("gather plan: pageable memory goes through a block of the pool, whatever its size") {
  CHECK(way(pieces(1, 600'000, PiecePlace::kPageable)) == GatherWay::kThroughHost);
  auto mixed = pieces(8, 600'000, PiecePlace::kPinned);
  mixed[3].place = PiecePlace::kPageable;
  CHECK(way(mixed) == GatherWay::kThroughHost);
}

TEST_CASE("gather plan: a kernel gathers from the threshold on what it can reach") {
  CHECK(way(pieces(16, 4096, PiecePlace::kPinned), 16) == GatherWay::kKernel);
  CHECK(way(pieces(15, 4096, PiecePlace::kPinned), 16) == GatherWay::kThroughHost);
  CHECK(way(pieces(16, 4096, PiecePlace::kPinned), 16, false) == GatherWay::kThroughHost);
  CHECK(way(pieces(16, 4096, PiecePlace::kGpu), 16, false) == GatherWay::kKernel);
  CHECK(way(pieces(16, 4096, PiecePlace::kGpu)) == GatherWay::kCopies);
  CHECK(way(pieces(1, 4096, PiecePlace::kGpu), 1) == GatherWay::kCopies);
  CHECK(way(pieces(16, 4096, PiecePlace::kPeer), 16) == GatherWay::kCopies);
  CHECK(way(pieces(16, 4096, PiecePlace::kPageable), 16) == GatherWay::kThroughHost);
}
