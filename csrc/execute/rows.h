#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/tensor.h"
#include "request/model_spec.h"

namespace naiad {

// Cuts the tensor of a batch into the rows of its requests, in order, as views that share the owner.
// Instance thread.
class RowCutter {
 public:
  explicit RowCutter(const Tensor& batch) : batch_(batch), next_(batch.data) {}

  // The next `num_rows` rows. Throws Error(kInternal) when the bytes of a kBytes tensor end too early.
  Tensor next(std::uint32_t num_rows);

 private:
  std::size_t size_of(std::uint32_t num_rows) const;

  const Tensor& batch_;
  const std::byte* next_;
};

// The client's shape of an output that the model gives in its reshape form: the dims of the configuration,
// with the variable ones filled in in order. Throws Error(kInternal) when `shape` is not of the reshape form.
Shape undo_reshape(const TensorSpec& spec, const Shape& shape, bool batches);

// The model's shape of an input that the client gives in the shape of the configuration; the other way round.
// `shape` has been checked against spec.dims.
Shape apply_reshape(const TensorSpec& spec, const Shape& shape, bool batches);

}  // namespace naiad
