#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>

#include "bindings/python_object.h"
#include "memory/tensor.h"
#include "memory/tensor_pool.h"

namespace naiad {

// numpy's type for a dtype; kBf16 is shown as its bits (uint16), kBytes as objects. With the GIL.
py::dtype numpy_dtype(DataType dtype);

// The dtype of a numpy type; `expected` decides where numpy has no type of its own (uint16 for kBf16). Throws
// Error(kInvalidArgument). With the GIL.
DataType dtype_of_numpy(const py::dtype& type, DataType expected);

// A tensor over a Python object: a numpy array, anything with DLPack on the CPU, or whatever numpy makes an
// array of. C-contiguous numbers are taken as they are and kept alive; strings are encoded into the pool.
// Throws Error(kInvalidArgument). With the GIL.
Tensor tensor_from_python(const py::object& value, DataType expected, TensorPool& pool,
                          const std::shared_ptr<ReferenceBin>& bin);

// A read-only array over the tensor, which `share` keeps alive; kBytes is decoded into an object array of
// bytes. With the GIL.
py::array array_of_tensor(const Tensor& tensor, PoolShare share);
py::tuple shape_tuple(const Shape& shape);

// The BYTES form of an array of bytes or str objects, in the pool. Throws Error. With the GIL.
Tensor encode_bytes_array(const py::array& array, TensorPool& pool);

}  // namespace naiad
