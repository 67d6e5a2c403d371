#include "backends/onnx_values.h"

#include <vector>

namespace naiad {

OnnxOwned<ort::Value> value_over(const OnnxRuntime& runtime, const ort::MemoryInfo& memory,
                                 std::span<const std::byte> bytes, const Shape& shape,
                                 ort::ElementType element) {
  ort::Value* made = nullptr;
  runtime.check(runtime.api().create_tensor_with_data(&memory, const_cast<std::byte*>(bytes.data()),
                                                      bytes.size(), shape.data(), shape.rank(), element,
                                                      &made));
  return OnnxRuntime::own(made, runtime.api().release_value);
}

Shape shape_of(const OnnxRuntime& runtime, const ort::Value& value) {
  const ort::Api& api = runtime.api();
  ort::TensorTypeAndShapeInfo* made = nullptr;
  runtime.check(api.value_type_and_shape(&value, &made));
  const auto type = OnnxRuntime::own(made, api.release_tensor_type);
  std::size_t rank = 0;
  runtime.check(api.tensor_rank(made, &rank));
  std::vector<std::int64_t> dims(rank);
  runtime.check(api.tensor_dims(made, dims.data(), rank));
  return Shape(dims);
}

}  // namespace naiad
