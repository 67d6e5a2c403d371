#include "bindings/python_object.h"

#include <utility>

namespace naiad {
namespace {

class PythonBuffer final : public Buffer {
 public:
  static BufferRef make(py::object owner, std::byte* data, std::size_t size_bytes,
                        std::shared_ptr<ReferenceBin> bin) {
    std::unique_ptr<PythonBuffer, Deleter> buffer(
        new PythonBuffer(owner.release().ptr(), data, size_bytes, std::move(bin)));
    return BufferRef::adopt(buffer.release());
  }

 private:
  struct Deleter {
    void operator()(PythonBuffer* buffer) const { delete buffer; }
  };

  PythonBuffer(PyObject* owner, std::byte* data, std::size_t size_bytes, std::shared_ptr<ReferenceBin> bin)
      : Buffer(data, size_bytes), owner_(owner), bin_(std::move(bin)) {}
  ~PythonBuffer() override = default;

  void release() noexcept override {
    const std::unique_ptr<PythonBuffer, Deleter> self(this);
    bin_->put(owner_);
  }

  PyObject* owner_;
  std::shared_ptr<ReferenceBin> bin_;
};

}  // namespace

BufferRef make_python_buffer(py::object owner, const void* data, std::size_t size_bytes,
                             std::shared_ptr<ReferenceBin> bin) {
  // The core only reads it; Buffer has one kind of pointer.
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(data));
  return PythonBuffer::make(std::move(owner), bytes, size_bytes, std::move(bin));
}

}  // namespace naiad
