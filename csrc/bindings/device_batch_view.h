#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/python_object.h"
#include "execute/device_batch.h"

namespace naiad {

// The batch that DeviceBatchViews look at; cut when enqueue() has returned.
struct DeviceLink {
  DeviceBatch* batch = nullptr;
};

// naiad._core.GpuTensor: memory of a GPU, by DLPack.
struct GpuTensor {
  Tensor tensor;
};

// An input as a model in Python gets it: a GpuTensor where it lies on a GPU, else a read-only array over it.
// With the GIL.
py::object input_object(const Tensor& tensor);

// naiad._core.DeviceBatchView: a batch whose work is queued on a GPU. With the GIL.
class DeviceBatchView {
 public:
  explicit DeviceBatchView(std::shared_ptr<DeviceLink> link) : link_(std::move(link)) {}

  std::size_t num_requests() const { return batch().execution().num_requests(); }
  std::uint32_t num_rows() const { return batch().execution().num_rows(); }
  std::size_t slot() const { return batch().slot(); }
  std::vector<std::string> wanted_outputs() const;

  // (name, datatype, GpuTensor or array) of the inputs that are present.
  py::list inputs();
  // One that is on the host; copied into the pool.
  void output(const std::string& name, const std::string& datatype, const py::array& array);
  // Memory of the GPU that goes out as the output, to be written on the stream.
  GpuTensor place(const std::string& name, const std::string& datatype,
                  const std::vector<std::int64_t>& shape);

 private:
  DeviceBatch& batch() const;

  std::shared_ptr<DeviceLink> link_;
};

}  // namespace naiad
