#pragma once

#include <cstdint>

#include "base/dtype.h"

// The part of DLPack's C ABI (github.com/dmlc/dlpack, include/dlpack/dlpack.h, version 0.8, unversioned
// capsules named "dltensor") that tensors of the CPU and of GPUs need. Facts of the format; names are ours.
namespace naiad::dlpack {

inline constexpr const char* kCapsuleName = "dltensor";
inline constexpr std::int32_t kCpu = 1;
inline constexpr std::int32_t kCuda = 2;

struct Device {
  std::int32_t kind;
  std::int32_t id;
};

struct Type {
  std::uint8_t code;  // 0 int, 1 uint, 2 float, 4 bfloat, 6 bool
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct TensorView {
  void* data;
  Device device;
  std::int32_t ndim;
  Type type;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null: row-major
  std::uint64_t byte_offset;
};

struct Managed {
  TensorView view;
  void* context;
  void (*deleter)(Managed*);
};

inline DataType dtype_of(Type type) {
  if (type.lanes != 1) return DataType::kInvalid;
  switch (type.code * 100 + type.bits) {
    case 8:
      return DataType::kInt8;
    case 16:
      return DataType::kInt16;
    case 32:
      return DataType::kInt32;
    case 64:
      return DataType::kInt64;
    case 108:
      return DataType::kUint8;
    case 116:
      return DataType::kUint16;
    case 132:
      return DataType::kUint32;
    case 164:
      return DataType::kUint64;
    case 216:
      return DataType::kFp16;
    case 232:
      return DataType::kFp32;
    case 264:
      return DataType::kFp64;
    case 416:
      return DataType::kBf16;
    case 608:
      return DataType::kBool;
    default:
      return DataType::kInvalid;
  }
}

inline Type type_of(DataType dtype) {
  const auto bits = static_cast<std::uint8_t>(element_size_bytes(dtype) * 8);
  switch (dtype) {
    case DataType::kBool:
      return {6, bits, 1};
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
    case DataType::kUint64:
      return {1, bits, 1};
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
    case DataType::kInt64:
      return {0, bits, 1};
    case DataType::kBf16:
      return {4, bits, 1};
    default:
      return {2, bits, 1};
  }
}

}  // namespace naiad::dlpack
