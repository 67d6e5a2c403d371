#include "bindings/arrays.h"

#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/dlpack.h"
#include "protocol/tensor_bytes.h"

namespace naiad {
namespace {

DataType dtype_of_kind(char kind, py::ssize_t item_size) {
  switch (kind) {
    case 'b':
      return DataType::kBool;
    case 'u':
      return item_size == 1   ? DataType::kUint8
             : item_size == 2 ? DataType::kUint16
             : item_size == 4 ? DataType::kUint32
                              : DataType::kUint64;
    case 'i':
      return item_size == 1   ? DataType::kInt8
             : item_size == 2 ? DataType::kInt16
             : item_size == 4 ? DataType::kInt32
                              : DataType::kInt64;
    case 'f':
      return item_size == 2   ? DataType::kFp16
             : item_size == 4 ? DataType::kFp32
             : item_size == 8 ? DataType::kFp64
                              : DataType::kInvalid;
    case 'O':
    case 'S':
    case 'U':
      return DataType::kBytes;
    default:
      return DataType::kInvalid;
  }
}

// The bytes of a str or bytes object; valid as long as it lives.
std::string_view view_of_element(PyObject* element) {
  if (PyBytes_Check(element)) {
    return {PyBytes_AS_STRING(element), static_cast<std::size_t>(PyBytes_GET_SIZE(element))};
  }
  if (PyUnicode_Check(element)) {
    py::ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(element, &size);
    if (text == nullptr) throw py::error_already_set();
    return {text, static_cast<std::size_t>(size)};
  }
  throw Error(Code::kInvalidArgument,
              "a BYTES tensor holds bytes or str, not " + std::string(Py_TYPE(element)->tp_name));
}

Shape shape_of(const py::array& array) {
  Shape shape;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) shape.push_back(array.shape(i));
  return shape;
}

Tensor tensor_from_array(py::array array, DataType expected, TensorPool& pool,
                         const std::shared_ptr<ReferenceBin>& bin) {
  const DataType dtype = dtype_of_numpy(array.dtype(), expected);
  if (dtype == DataType::kBytes) return encode_bytes_array(array, pool);
  if ((array.flags() & py::array::c_style) == 0 || array.dtype().byteorder() == '>') {
    array = py::module_::import("numpy").attr("ascontiguousarray")(array,
                                                                   array.dtype().attr("newbyteorder")("="));
  }
  const auto size_bytes = static_cast<std::size_t>(array.nbytes());
  const auto* data = static_cast<const std::byte*>(array.data());
  Shape shape = shape_of(array);
  return {dtype, std::move(shape), data, size_bytes,
          make_python_buffer(std::move(array), data, size_bytes, bin)};
}

bool row_major(const dlpack::TensorView& view) {
  if (view.strides == nullptr) return true;
  std::int64_t stride = 1;
  for (std::int32_t i = view.ndim; i-- > 0;) {
    if (view.shape[i] != 1 && view.strides[i] != stride) return false;
    stride *= view.shape[i];
  }
  return true;
}

// Keeps the capsule, unconsumed: when it goes, its own destructor gives the memory back to its maker.
Tensor tensor_from_dlpack(const py::object& value, const std::shared_ptr<ReferenceBin>& bin) {
  py::object capsule = value.attr("__dlpack__")();
  auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kCapsuleName));
  if (managed == nullptr) throw py::error_already_set();
  const dlpack::TensorView& view = managed->view;
  const DataType dtype = dlpack::dtype_of(view.type);
  if (view.device.kind != dlpack::kCpu) {
    throw Error(Code::kUnsupported, "DLPack tensors are taken from the CPU only");
  }
  if (dtype == DataType::kInvalid || !row_major(view)) {
    throw Error(Code::kInvalidArgument, "a DLPack tensor must be row-major and of a type of the v2 protocol");
  }
  Shape shape(std::span<const std::int64_t>(view.shape, static_cast<std::size_t>(view.ndim)));
  const std::size_t size_bytes = shape.size_bytes(dtype).value();
  const auto* data = static_cast<const std::byte*>(view.data) + view.byte_offset;
  return {dtype, std::move(shape), data, size_bytes,
          make_python_buffer(std::move(capsule), data, size_bytes, bin)};
}

py::array decode_bytes(const Tensor& tensor) {
  py::array_t<PyObject*> array(std::vector<py::ssize_t>(tensor.shape.begin(), tensor.shape.end()));
  auto** elements = static_cast<PyObject**>(array.request().ptr);
  BytesElements given(tensor.bytes());
  const std::size_t count = tensor.shape.num_elements().value_or(0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto text = given.next();
    // It may be memory that another process writes to.
    if (!text) throw Error(Code::kInternal, "a BYTES tensor has fewer elements than its shape says");
    py::bytes element(text->data(), text->size());
    Py_XDECREF(elements[i]);
    elements[i] = element.release().ptr();
  }
  return array;
}

}  // namespace

py::dtype numpy_dtype(DataType dtype) {
  switch (dtype) {
    case DataType::kBool:
      return py::dtype::of<bool>();
    case DataType::kUint8:
      return py::dtype::of<std::uint8_t>();
    case DataType::kUint16:
    case DataType::kBf16:
      return py::dtype::of<std::uint16_t>();
    case DataType::kUint32:
      return py::dtype::of<std::uint32_t>();
    case DataType::kUint64:
      return py::dtype::of<std::uint64_t>();
    case DataType::kInt8:
      return py::dtype::of<std::int8_t>();
    case DataType::kInt16:
      return py::dtype::of<std::int16_t>();
    case DataType::kInt32:
      return py::dtype::of<std::int32_t>();
    case DataType::kInt64:
      return py::dtype::of<std::int64_t>();
    case DataType::kFp16:
      return py::dtype("e");
    case DataType::kFp32:
      return py::dtype::of<float>();
    case DataType::kFp64:
      return py::dtype::of<double>();
    case DataType::kBytes:
    case DataType::kInvalid:
      break;
  }
  return py::dtype("O");
}

DataType dtype_of_numpy(const py::dtype& type, DataType expected) {
  DataType dtype = dtype_of_kind(type.kind(), type.itemsize());
  if (dtype == DataType::kUint16 && expected == DataType::kBf16) return DataType::kBf16;
  if (dtype == DataType::kInvalid && py::str(type.attr("name")).cast<std::string>() == "bfloat16") {
    return DataType::kBf16;
  }
  if (dtype == DataType::kInvalid) {
    throw Error(Code::kInvalidArgument, "arrays of type " + py::str(type).cast<std::string>() +
                                            " have no datatype in the v2 protocol");
  }
  return dtype;
}

Tensor tensor_from_python(const py::object& value, DataType expected, TensorPool& pool,
                          const std::shared_ptr<ReferenceBin>& bin) {
  if (!py::isinstance<py::array>(value) && py::hasattr(value, "__dlpack__")) {
    return tensor_from_dlpack(value, bin);
  }
  py::array array = py::array::ensure(value);
  if (!array) throw py::error_already_set();
  return tensor_from_array(std::move(array), expected, pool, bin);
}

py::tuple shape_tuple(const Shape& shape) {
  py::tuple dims(shape.rank());
  for (std::size_t i = 0; i < shape.rank(); ++i) dims[i] = shape[i];
  return dims;
}

py::array array_of_tensor(const Tensor& tensor, PoolShare share) {
  if (tensor.dtype == DataType::kBytes) return decode_bytes(tensor);
  auto owned = std::make_unique<PoolShare>(std::move(share));
  const py::capsule owner(owned.get(), [](void* pointer) {
    const std::unique_ptr<PoolShare> dropped(static_cast<PoolShare*>(pointer));
  });
  static_cast<void>(owned.release());
  py::array array(numpy_dtype(tensor.dtype),
                  std::vector<py::ssize_t>(tensor.shape.begin(), tensor.shape.end()), tensor.data, owner);
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

Tensor encode_bytes_array(const py::array& array, TensorPool& pool) {
  const auto objects = py::array_t<PyObject*, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!objects) throw py::error_already_set();
  const auto* elements = static_cast<PyObject* const*>(objects.data());
  const auto count = static_cast<std::size_t>(objects.size());
  std::size_t size_bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t length = view_of_element(elements[i]).size();
    if (length > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(Code::kInvalidArgument, "an element of a BYTES tensor is longer than 4 GiB");
    }
    size_bytes += sizeof(std::uint32_t) + length;
  }
  BufferRef block = pool.try_allocate(size_bytes);
  if (!block)
    throw Error(Code::kUnavailable, "the tensor pool has no room for a BYTES tensor; try again later");
  std::byte* at = block->data();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view element = view_of_element(elements[i]);
    const auto length = static_cast<std::uint32_t>(element.size());
    std::memcpy(at, &length, sizeof length);
    at += sizeof length;
    std::memcpy(at, element.data(), element.size());
    at += element.size();
  }
  return {DataType::kBytes, shape_of(array), block->data(), size_bytes, std::move(block)};
}

}  // namespace naiad
