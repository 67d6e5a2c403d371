#pragma once

#include <cstddef>
#include <span>

#include "memory/tensor_pool.h"
#include "protocol/http1.h"

namespace naiad {

// How far into a block a message has to begin, so that what stands at its `offset` is aligned: a tensor that
// was received so is handed to the model uncopied. Any thread.
constexpr std::size_t aligning_shift(std::size_t offset) {
  return (kTensorAlignment - offset % kTensorAlignment) % kTensorAlignment;
}

// Where the first binary tensor of a v2 HTTP body begins, as its head announces it; 0 when there is none, or
// the head is not right. Any thread.
std::size_t first_tensor_offset(const Http1Head& head);

// Where the first tensor that does not end within `begin` starts, in the serialized ModelInferRequest whose
// first bytes `begin` are; 0 when that cannot be seen in them. Any thread.
std::size_t first_tensor_offset(std::span<const std::byte> begin);

}  // namespace naiad
