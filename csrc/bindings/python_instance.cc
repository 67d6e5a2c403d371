#include "bindings/python_instance.h"

#include "base/log.h"
#include "bindings/errors.h"
#include "execute/call_graph.h"

namespace naiad {

PythonInstance::PythonInstance(const py::function& make, const InstanceSpec& spec, bool streams,
                               const DevicePlace* place)
    : name_(spec.name),
      calls_(spec.calls),
      number_(calls_ != nullptr ? calls_->add_instance({spec.model.name, spec.model.version}) : 0) {
  const PythonThread::Entered entered(thread_);
  const char* const kind = spec.device.kind == DeviceKind::kGpu ? "GPU" : "CPU";
  void* const stream = place != nullptr ? place->stream->native() : nullptr;
  try {
    object_ = streams ? make(spec.name, kind, spec.device.id, reinterpret_cast<std::uintptr_t>(stream))
                      : make(spec.name, kind, spec.device.id);
  } catch (const py::error_already_set& error) {
    const Status status = status_of(error);
    throw Error(status);
  }
}

PythonInstance::~PythonInstance() {
  const PythonThread::Entered entered(thread_);
  try {
    object_.attr("finalize")();
  } catch (const py::error_already_set& error) {
    log_error("finalize of model instance '" + name_ + "' failed: " + status_of(error).message());
  }
  object_ = py::object();
  if (calls_ != nullptr) calls_->remove_instance(number_);
  // A sender that the model still has would look for what goes with the model.
  const py::gil_scoped_release release;
  senders_->abandon();
}

bool PythonInstance::has(const char* attribute) const {
  return py::hasattr(object_, attribute);
}

bool PythonInstance::says(const char* attribute) const {
  return has(attribute) && object_.attr(attribute).cast<bool>();
}

}  // namespace naiad
