#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "engine/trace_watch.h"
#include "engine/tracer.h"

namespace naiad {
namespace {

// naiad._core.Tracer: which requests of an engine are traced, and what was noted of them.
class TracerObject {
 public:
  explicit TracerObject(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  Tracer& tracer() { return core_->engine.tracer(); }

 private:
  const std::shared_ptr<Core> core_;
};

std::uint64_t big_endian(std::uint64_t value, std::size_t byte) {
  return value >> (8 * (7 - byte)) & 0xff;
}

py::bytes bytes_of(std::initializer_list<std::uint64_t> values) {
  std::string bytes;
  for (const std::uint64_t value : values) {
    for (std::size_t i = 0; i < 8; ++i) bytes += static_cast<char>(big_endian(value, i));
  }
  return bytes;
}

py::dict span_dict(const TraceSpan& span) {
  py::list marks;
  for (const TraceEvent& event : span.events) {
    marks.append(py::make_tuple(trace_mark_name(event.mark), event.at_ns));
  }
  py::list tensors;
  for (const TracedTensor& tensor : span.tensors) {
    py::list shape;
    for (const std::int64_t dim : tensor.shape) shape.append(dim);
    tensors.append(py::make_tuple(tensor.is_input, tensor.at_ns, tensor.name, dtype_name(tensor.dtype), shape,
                                  py::bytes(tensor.bytes)));
  }
  py::dict dict;
  dict["id"] = span.id;
  dict["parent_id"] = span.parent_id;
  dict["span_id"] = span.span_id;
  dict["model_name"] = span.model_name;
  dict["model_version"] = span.model_version;
  // What a client calls it need not be UTF-8.
  dict["request_id"] = py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(
      span.request_id.data(), static_cast<py::ssize_t>(span.request_id.size()), "replace"));
  dict["marks"] = std::move(marks);
  dict["tensors"] = std::move(tensors);
  return dict;
}

py::object record_dict(const std::optional<TraceRecord>& record) {
  if (!record) return py::none();
  py::list spans;
  for (const TraceSpan& span : record->spans) spans.append(span_dict(span));
  py::dict dict;
  dict["spans"] = std::move(spans);
  dict["trace_id"] = bytes_of({record->root.trace_id_high, record->root.trace_id_low});
  dict["span_id"] = record->root.span_id;
  dict["parent_span_id"] = record->parent.span_id;
  dict["parent_flags"] = record->parent.flags;
  dict["state"] = py::bytes(record->parent.state).attr("decode")("utf-8", "replace");
  return dict;
}

// A TraceNews of _core.pyi for each.
py::list take(TracerObject& self, double timeout_s) {
  std::vector<TraceNews> taken;
  {
    const py::gil_scoped_release release;
    taken = self.tracer().take(static_cast<std::uint64_t>(timeout_s * 1e9));
  }
  py::list news;
  for (TraceNews& each : taken) {
    news.append(py::make_tuple(each.setting, record_dict(each.record), each.has_all, each.has_ended));
    each.record.reset();
  }
  return news;
}

}  // namespace

void register_tracing(py::module_& module) {
  py::class_<TraceWatch, std::shared_ptr<TraceWatch>>(module, "TraceWatch")
      .def(py::init<>())
      .def(
          "take",
          [](TraceWatch& self, double timeout_s) {
            std::optional<TraceRecord> record;
            {
              const py::gil_scoped_release release;
              record = self.take(static_cast<std::uint64_t>(timeout_s * 1e9));
            }
            return record_dict(record);
          },
          py::arg("timeout_s"));
  py::class_<TracerObject>(module, "Tracer")
      .def(py::init<std::shared_ptr<Core>>(), py::arg("engine"))
      .def(
          "set",
          [](TracerObject& self, const std::string& model, std::uint64_t number, bool timestamps,
             bool tensors, std::uint32_t rate, std::int64_t count, bool has_context) {
            self.tracer().set(model, {number, {timestamps, tensors}, rate, count, has_context});
          },
          py::arg("model"), py::kw_only(), py::arg("number"), py::arg("timestamps"), py::arg("tensors"),
          py::arg("rate"), py::arg("count"), py::arg("has_context") = false)
      .def(
          "clear", [](TracerObject& self, const std::string& model) { self.tracer().clear(model); },
          py::arg("model"))
      .def(
          "count_left",
          [](TracerObject& self, const std::string& model) { return self.tracer().count_left(model); },
          py::arg("model"))
      .def("take", &take, py::arg("timeout_s"))
      .def("close", [](TracerObject& self) { self.tracer().close(); })
      .def_property_readonly("closed", [](TracerObject& self) { return self.tracer().closed(); })
      .def_property_readonly("on", [](TracerObject& self) { return self.tracer().on(); })
      .def_property_readonly("num_dropped", [](TracerObject& self) { return self.tracer().num_dropped(); });
}

}  // namespace naiad
