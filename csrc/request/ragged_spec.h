#pragma once

#include <cstddef>

namespace naiad {

// What an input tells the model of the requests of a batch (model_configuration.md, "Batch Input"): made when
// the batch is, of what stands in their input `source`.
enum class BatchInputKind : unsigned char {
  kElementCount,                     // of each request
  kAccumulatedElementCount,          // of it and those before it
  kAccumulatedElementCountWithZero,  // the same, behind a 0
  kMaxElementCountAsShape,           // as the shape alone: what stands in it is anything
  kItemShape,                        // of each row, one row each
  kItemShapeFlatten,                 // the same, one behind the other
};

struct BatchInput {
  BatchInputKind kind = BatchInputKind::kElementCount;
  std::size_t input = 0;   // the position of what is made, an internal input: INT32 or FP32
  std::size_t source = 0;  // and of what it tells of
};

// An output whose parts are as large as the requests' input `source`: its free sizes are that one's.
struct BatchOutput {
  std::size_t output = 0;
  std::size_t source = 0;
};

}  // namespace naiad
