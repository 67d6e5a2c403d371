#include "protocol/classification.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/quoted.h"
#include "protocol/half_float.h"

namespace naiad {
namespace {

// How the bytes of an element become a value that can be compared and written.
template <typename Stored>
struct Plain {
  using Raw = Stored;
  static Stored value(Raw raw) { return raw; }
};
struct Fp16 {
  using Raw = std::uint16_t;
  static float value(Raw raw) { return float_of_fp16(raw); }
};
struct Bf16 {
  using Raw = std::uint16_t;
  static float value(Raw raw) { return float_of_bf16(raw); }
};

template <typename T>
bool greater(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return false;
    if (std::isnan(b)) return true;
  }
  return a > b;
}

void append_element(std::string& bytes, std::string_view element) {
  const auto length = static_cast<std::uint32_t>(element.size());
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  bytes.append(element);
}

template <typename Element>
void classify_rows(const Tensor& tensor, const TensorSpec& output, std::size_t num_rows, std::size_t row_size,
                   std::size_t num_classes, std::string& bytes) {
  using Raw = typename Element::Raw;
  std::vector<decltype(Element::value(Raw{}))> values(row_size);
  std::vector<std::size_t> order(row_size);
  for (std::size_t row = 0; row < num_rows; ++row) {
    for (std::size_t i = 0; i < row_size; ++i) {
      Raw raw;
      std::memcpy(&raw, tensor.data + (row * row_size + i) * sizeof raw, sizeof raw);
      values[i] = Element::value(raw);
    }
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(num_classes), order.end(),
                      [&](std::size_t a, std::size_t b) {
                        if (greater(values[a], values[b])) return true;
                        return !greater(values[b], values[a]) && a < b;
                      });
    for (std::size_t i = 0; i < num_classes; ++i) {
      const std::size_t index = order[i];
      // std::to_string writes floats with %f: what Triton's clients see.
      std::string text = std::to_string(values[index]) + ":" + std::to_string(index);
      if (index < output.labels.size() && !output.labels[index].empty()) text += ":" + output.labels[index];
      append_element(bytes, text);
    }
  }
}

using RowClassifier = void (*)(const Tensor&, const TensorSpec&, std::size_t, std::size_t, std::size_t,
                               std::string&);

RowClassifier classifier_of(DataType dtype) {
  switch (dtype) {
    case DataType::kUint8:
      return classify_rows<Plain<std::uint8_t>>;
    case DataType::kUint16:
      return classify_rows<Plain<std::uint16_t>>;
    case DataType::kUint32:
      return classify_rows<Plain<std::uint32_t>>;
    case DataType::kUint64:
      return classify_rows<Plain<std::uint64_t>>;
    case DataType::kInt8:
      return classify_rows<Plain<std::int8_t>>;
    case DataType::kInt16:
      return classify_rows<Plain<std::int16_t>>;
    case DataType::kInt32:
      return classify_rows<Plain<std::int32_t>>;
    case DataType::kInt64:
      return classify_rows<Plain<std::int64_t>>;
    case DataType::kFp16:
      return classify_rows<Fp16>;
    case DataType::kBf16:
      return classify_rows<Bf16>;
    case DataType::kFp32:
      return classify_rows<Plain<float>>;
    case DataType::kFp64:
      return classify_rows<Plain<double>>;
    case DataType::kBool:
    case DataType::kBytes:
    case DataType::kInvalid:
      break;
  }
  return nullptr;
}

}  // namespace

Status classify(const Tensor& tensor, const TensorSpec& output, std::uint32_t num_classes, bool batched,
                Classes& classes) {
  const RowClassifier classify_tensor = classifier_of(tensor.dtype);
  if (classify_tensor == nullptr) {
    return {Code::kInvalidArgument, "classification of output " + quoted(output.name) + " with datatype " +
                                        std::string(dtype_name(tensor.dtype)) + " is not supported"};
  }
  const std::size_t total = tensor.shape.num_elements().value_or(0);
  const bool by_row = batched && !tensor.shape.empty();
  const std::size_t num_rows = by_row ? static_cast<std::size_t>(tensor.shape[0]) : 1;
  const std::size_t row_size = num_rows == 0 ? 0 : total / num_rows;
  const std::size_t count = std::min<std::size_t>(num_classes, row_size);
  classes.shape = Shape{};
  classes.bytes.clear();
  if (by_row) classes.shape.push_back(tensor.shape[0]);
  classes.shape.push_back(static_cast<std::int64_t>(count));
  if (count != 0) classify_tensor(tensor, output, num_rows, row_size, count, classes.bytes);
  return {};
}

}  // namespace naiad
