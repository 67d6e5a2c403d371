#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/dtype.h"
#include "memory/buffer.h"
#include "memory/shape.h"

namespace naiad {

// A typed, contiguous, row-major view of bytes that `owner` keeps alive. kBytes tensors hold the wire form:
// per element a u32 little-endian length and that many bytes. Data may be unaligned: it can lie anywhere in
// a message body.
struct Tensor {
  DataType dtype = DataType::kInvalid;
  Shape shape;
  const std::byte* data = nullptr;
  std::size_t size_bytes = 0;
  BufferRef owner;

  bool present() const { return dtype != DataType::kInvalid; }
  std::span<const std::byte> bytes() const { return {data, size_bytes}; }
  bool is_on_gpu() const { return owner && owner->device().kind == DeviceKind::kGpu; }
};

}  // namespace naiad
