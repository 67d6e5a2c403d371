#include "bindings/dlpack_export.h"

#include <utility>
#include <vector>

namespace naiad {
namespace {

// What a consumer of a capsule holds.
struct DlpackExport {
  dlpack::Managed managed{};
  std::shared_ptr<Core> core;  // before the tensor: its buffer goes first
  Tensor tensor;
  std::vector<std::int64_t> shape;
};

}  // namespace

dlpack::Device dlpack_device(const Tensor& tensor) {
  const Device device = tensor.owner ? tensor.owner->device() : Device{};
  return device.kind == DeviceKind::kGpu ? dlpack::Device{dlpack::kCuda, device.id}
                                         : dlpack::Device{dlpack::kCpu, 0};
}

py::capsule dlpack_capsule(Tensor tensor, std::shared_ptr<Core> core) {
  auto owned = std::make_unique<DlpackExport>();
  owned->core = std::move(core);
  owned->tensor = std::move(tensor);
  const Tensor& source = owned->tensor;
  owned->shape.assign(source.shape.begin(), source.shape.end());
  dlpack::Managed& managed = owned->managed;
  managed.view = {const_cast<std::byte*>(source.data),
                  dlpack_device(source),
                  static_cast<std::int32_t>(owned->shape.size()),
                  dlpack::type_of(source.dtype),
                  owned->shape.data(),
                  nullptr,
                  0};
  managed.context = owned.get();
  managed.deleter = [](dlpack::Managed* done) {
    const std::unique_ptr<DlpackExport> dropped(static_cast<DlpackExport*>(done->context));
  };
  // A capsule that was consumed has been renamed, and its consumer calls the deleter.
  py::capsule capsule(&owned.release()->managed, dlpack::kCapsuleName, [](PyObject* object) {
    if (PyCapsule_IsValid(object, dlpack::kCapsuleName) == 0) return;
    auto* done = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(object, dlpack::kCapsuleName));
    done->deleter(done);
  });
  return capsule;
}

}  // namespace naiad
