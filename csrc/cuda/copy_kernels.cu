#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/copy_kernels.h"

namespace naiad {
namespace {

constexpr unsigned kThreads = 256;
// One block copies so much of a piece; larger pieces have more blocks.
constexpr std::size_t kBlockBytes = std::size_t{32} << 10;
// A piece has no more blocks than this: each of them then copies several parts.
constexpr std::size_t kMaxBlocks = 512;

// A list of pieces as the argument of a launch, which may have 32764 bytes.
template <std::size_t kCapacity>
struct PieceTable {
  CopyPiece pieces[kCapacity];
};
static_assert(sizeof(PieceTable<kMaxCopyPieces>) <= 32764);

__device__ void copy_bytes(std::byte* to, const std::byte* from, std::size_t size_bytes) {
  for (std::size_t at = threadIdx.x; at < size_bytes; at += kThreads) to[at] = from[at];
}

// The same a word at a time, single bytes before and behind. Both sides are as far behind a word's boundary.
template <typename Word>
__device__ void copy_words(std::byte* to, const std::byte* from, std::size_t size_bytes) {
  std::size_t head = (sizeof(Word) - reinterpret_cast<std::uintptr_t>(to) % sizeof(Word)) % sizeof(Word);
  if (head > size_bytes) head = size_bytes;
  copy_bytes(to, from, head);
  const std::size_t count = (size_bytes - head) / sizeof(Word);
  auto* const words_to = reinterpret_cast<Word*>(to + head);
  const auto* const words_from = reinterpret_cast<const Word*>(from + head);
  for (std::size_t i = threadIdx.x; i < count; i += kThreads) words_to[i] = words_from[i];
  const std::size_t done = head + count * sizeof(Word);
  copy_bytes(to + done, from + done, size_bytes - done);
}

// One part of a piece by all threads of a block, in the widest words that both sides can be read in together:
// of 16 bytes, or of 4, which most elements have.
__device__ void copy_part(std::byte* to, const std::byte* from, std::size_t size_bytes) {
  const std::uintptr_t apart = reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from);
  if (apart % sizeof(int4) == 0) {
    copy_words<int4>(to, from, size_bytes);
  } else if (apart % sizeof(int) == 0) {
    copy_words<int>(to, from, size_bytes);
  } else {
    copy_bytes(to, from, size_bytes);
  }
}

// blockIdx.y is the piece, blockIdx.x its first part; the others follow at the stride of the grid.
template <std::size_t kCapacity>
__global__ void __launch_bounds__(kThreads)
    copy_pieces_kernel(const __grid_constant__ PieceTable<kCapacity> table) {
  const CopyPiece& piece = table.pieces[blockIdx.y];
  for (std::size_t at = blockIdx.x * kBlockBytes; at < piece.size_bytes; at += gridDim.x * kBlockBytes) {
    const std::size_t left = piece.size_bytes - at;
    copy_part(piece.to + at, piece.from + at, left < kBlockBytes ? left : kBlockBytes);
  }
}

template <std::size_t kCapacity>
cudaError_t launch(const CopyPiece* pieces, std::size_t count, unsigned num_blocks, cudaStream_t stream) {
  PieceTable<kCapacity> table;
  std::copy_n(pieces, count, table.pieces);
  const dim3 grid(num_blocks, static_cast<unsigned>(count));
  copy_pieces_kernel<kCapacity><<<grid, kThreads, 0, stream>>>(table);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_copies(const CopyPiece* pieces, std::size_t count, cudaStream_t stream) {
  std::size_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, pieces[i].size_bytes);
  if (largest == 0) return cudaSuccess;
  const std::size_t parts = (largest + kBlockBytes - 1) / kBlockBytes;
  const auto num_blocks = static_cast<unsigned>(std::min(parts, kMaxBlocks));
  // The driver copies the whole argument at each launch: short lists have a short one.
  if (count <= 64) return launch<64>(pieces, count, num_blocks, stream);
  if (count <= 256) return launch<256>(pieces, count, num_blocks, stream);
  return launch<kMaxCopyPieces>(pieces, count, num_blocks, stream);
}

}  // namespace naiad
