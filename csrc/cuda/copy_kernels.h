#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "memory/copy_piece.h"

namespace naiad {

// Queues one launch that copies all pieces, kMaxCopyPieces at most. The list goes with the launch, so
// that it needs no memory that would have to live on. The stream's GPU is the current one.
cudaError_t launch_copies(const CopyPiece* pieces, std::size_t count, cudaStream_t stream);

}  // namespace naiad
