#pragma once

#include <cstddef>

namespace naiad {

// One copy of many. What the kernels read as it stands: this header is C++17 for them.
struct CopyPiece {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t size_bytes = 0;
};

// So many in one launch.
inline constexpr std::size_t kMaxCopyPieces = 1024;

}  // namespace naiad
