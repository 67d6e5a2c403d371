#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "protocol/classification.h"
#include "request/request.h"

namespace naiad {

// One output as it goes on the wire: the model's tensor, or the classes that the request asked for instead.
struct OutputForm {
  std::string_view name;
  const TensorSpec* spec = nullptr;
  Tensor tensor;        // BYTES over `classes` where they were asked for
  std::string classes;  // the wire form of the classes
  bool binary = false;
  const SharedWindow* shared = nullptr;  // the tensor goes there and not into the message
};

// Resolves what the request wants of each output of `response`. kInternal when an output's bytes do not match
// its shape or do not lie in host memory: a backend's fault. Any thread. The result's tensors point into it:
// it must not be moved element-wise once made.
Status make_output_forms(const Request& request, const Response& response, std::vector<OutputForm>& forms);

// Writes the outputs that the request wants in client shared memory there: all of them or, when one does not
// fit, none. kInternal in that case, as Triton. Any thread.
Status write_shared_outputs(const std::vector<OutputForm>& forms);

}  // namespace naiad
