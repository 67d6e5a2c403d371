#pragma once

#include <pybind11/pybind11.h>

#include "base/error.h"

namespace naiad {

// The exception object of naiad.errors for a status that is not ok. With the GIL.
pybind11::object to_exception(const Status& status);

// Raises it. With the GIL.
[[noreturn]] void raise_status(const Status& status);

// The status of a Python exception that a backend raised: its own code for a class of naiad.errors, else
// kInternal with the type and the text. With the GIL.
Status status_of(const pybind11::error_already_set& error);

// Lets Error arrive in Python as a class of naiad.errors.
void register_errors();

// The parts of the module, one file each.
void register_specs(pybind11::module_& module);
void register_shared_regions(pybind11::module_& module);
void register_tensors(pybind11::module_& module);
void register_request_view(pybind11::module_& module);
void register_batch_view(pybind11::module_& module);
void register_device_batch_view(pybind11::module_& module);
void register_response_store(pybind11::module_& module);
void register_engine(pybind11::module_& module);
void register_completion_queue(pybind11::module_& module);
void register_infer_many(pybind11::module_& module);
void register_local_request(pybind11::module_& module);
void register_worker(pybind11::module_& module);
void register_control_call(pybind11::module_& module);
void register_access(pybind11::module_& module);
void register_data_plane(pybind11::module_& module);
void register_tracing(pybind11::module_& module);
void register_summons(pybind11::module_& module);
void register_onnxruntime(pybind11::module_& module);

}  // namespace naiad
