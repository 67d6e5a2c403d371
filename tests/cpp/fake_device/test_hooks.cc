#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string>

#include "bindings/errors.h"
#include "fake_device/fake_gpus.h"

// The module _fake_gpu, in the same file as the core that it is linked with: what tests ask of its GPUs, and
// have them do. A stream is its number, as instances are told it; memory is its address.
namespace naiad::test {
namespace {

namespace py = pybind11;

FakeGpu& gpu(int device) {
  return *FakeGpus::of_process().at(device);
}

FakeStream& stream_of(std::uintptr_t number) {
  return *reinterpret_cast<FakeStream*>(number);
}

py::dict state(int device) {
  const FakeGpu& asked = gpu(device);
  py::dict facts;
  facts["copies_to_gpu"] = asked.num_copies_to_gpu();
  facts["copies_to_host"] = asked.num_copies_to_host();
  facts["copies"] = asked.num_copies();
  facts["kernels"] = asked.num_launches();
  facts["graph_launches"] = asked.num_graph_launches();
  facts["streams"] = asked.num_streams();
  facts["allocated_bytes"] = asked.allocated_bytes();
  facts["allocations"] = asked.num_allocations();
  facts["total_bytes"] = FakeGpus::kMemoryBytes;
  facts["faults"] = asked.faults();
  facts["pinned_bytes"] = FakeGpus::of_process().pinned_bytes.load();
  return facts;
}

Bytes floats(std::uintptr_t address, std::size_t count) {
  return {reinterpret_cast<const std::byte*>(address), count * sizeof(float)};
}

// to[i] = from[i] + value, a kernel.
void add(std::uintptr_t stream, std::uintptr_t to, std::uintptr_t from, std::size_t count, float value) {
  const std::span sums(reinterpret_cast<float*>(to), count);
  const std::span terms(reinterpret_cast<const float*>(from), count);
  const auto act = [sums, terms, value] {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = terms[i] + value;
  };
  const Status status = stream_of(stream).compute(3000, {floats(from, count)}, {floats(to, count)}, act);
  if (!status.ok()) raise_status(status);
}

}  // namespace

PYBIND11_MODULE(_fake_gpu, module) {
  module.doc() = "What tests ask of the two GPUs that this copy of the core has, and have them do";
  // Work is done by who waits for it: not with the GIL.
  const py::call_guard<py::gil_scoped_release> free;
  module.def("state", &state, py::arg("device") = 0);
  module.def(
      "fail_work", [](int device, std::size_t number) { gpu(device).fail_work(number); }, py::arg("device"),
      py::arg("number") = 1, free);
  module.def("heal", [](int device) { gpu(device).heal(); }, py::arg("device"), free);
  module.def("add", &add, py::arg("stream"), py::arg("to"), py::arg("from_"), py::arg("count"),
             py::arg("value"));
}

}  // namespace naiad::test
