#include "base/dtype.h"

#include <array>

namespace naiad {
namespace {

constexpr std::array<std::string_view, 15> kNames = {"<invalid>", "BOOL", "UINT8", "UINT16", "UINT32",
                                                     "UINT64",    "INT8", "INT16", "INT32",  "INT64",
                                                     "FP16",      "FP32", "FP64",  "BYTES",  "BF16"};

}  // namespace

std::string_view dtype_name(DataType dtype) {
  return kNames.at(static_cast<std::size_t>(dtype));
}

std::optional<DataType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

}  // namespace naiad
