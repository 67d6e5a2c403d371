#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace naiad {

// Element types, numbered as in inference.DataType of model_config.proto (TYPE_BOOL = 1 ... TYPE_BF16 = 14).
enum class DataType : unsigned char {
  kInvalid = 0,
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kFp32 = 11,
  kFp64 = 12,
  kBytes = 13,  // u32 little-endian length + bytes, per element
  kBf16 = 14,
};
inline constexpr DataType kLastDataType = DataType::kBf16;

// Bytes of one element; 0 for kBytes (each element has its own length) and kInvalid. Any thread.
constexpr std::size_t element_size_bytes(DataType dtype) {
  switch (dtype) {
    case DataType::kBool:
    case DataType::kUint8:
    case DataType::kInt8:
      return 1;
    case DataType::kUint16:
    case DataType::kInt16:
    case DataType::kFp16:
    case DataType::kBf16:
      return 2;
    case DataType::kUint32:
    case DataType::kInt32:
    case DataType::kFp32:
      return 4;
    case DataType::kUint64:
    case DataType::kInt64:
    case DataType::kFp64:
      return 8;
    case DataType::kBytes:
    case DataType::kInvalid:
      break;
  }
  return 0;
}

// The wire name ("FP32", "BYTES"); "<invalid>" for kInvalid. Any thread.
std::string_view dtype_name(DataType dtype);

// The type of a wire name; empty when there is none such. Any thread.
std::optional<DataType> dtype_from_name(std::string_view name);

}  // namespace naiad
