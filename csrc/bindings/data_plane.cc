#include "io/data_plane.h"

#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/control_call.h"
#include "bindings/core.h"
#include "bindings/errors.h"
#include "io/bridge.h"

namespace naiad {
namespace {

constexpr double kNsPerS = 1e9;
constexpr std::uint64_t kNsPerMs = 1'000'000;
// Longer than anybody waits, and far from overflow.
constexpr double kMaxTimeoutS = 1e9;

struct MessageEvent {
  std::uint64_t call = 0;
  py::object message = py::none();
};

struct CancelEvent {
  std::uint64_t call = 0;
};

// naiad._core.DataPlane: the I/O threads, and what they leave to the event loop.
class DataPlaneObject : public std::enable_shared_from_this<DataPlaneObject> {
 public:
  DataPlaneObject(std::shared_ptr<Core> core, DataPlaneOptions options)
      : core_(std::move(core)),
        plane_(std::make_unique<DataPlane>(core_->engine, bridge_, std::move(options))) {}
  ~DataPlaneObject();
  DataPlaneObject(const DataPlaneObject&) = delete;
  DataPlaneObject& operator=(const DataPlaneObject&) = delete;

  DataPlane& plane() { return *plane_; }
  int fileno() const { return bridge_.fd(); }
  bool drain(double timeout_s);
  py::list take();

 private:
  py::object to_python(BridgeItem& item);

  const std::shared_ptr<Core> core_;
  Bridge bridge_;
  std::unique_ptr<DataPlane> plane_;
  std::uint64_t last_call_ = 0;  // with the GIL
};

DataPlaneObject::~DataPlaneObject() {
  const py::gil_scoped_release release;
  plane_->stop();
  // What was not taken goes before the loops that it answers to.
  std::vector<BridgeItem> left;
  bridge_.drain(left);
  for (const BridgeItem& item : left) {
    if (const auto* connection = std::get_if<ControlConnection>(&item)) close(connection->fd);
  }
  left.clear();
  plane_.reset();
}

bool DataPlaneObject::drain(double timeout_s) {
  if (!(timeout_s >= 0)) throw Error(Code::kInvalidArgument, "timeout_s should not be negative");
  const auto timeout_ns = static_cast<std::uint64_t>(std::min(timeout_s, kMaxTimeoutS) * kNsPerS);
  const py::gil_scoped_release release;
  return plane_->drain(timeout_ns);
}

py::object DataPlaneObject::to_python(BridgeItem& item) {
  if (const auto* connection = std::get_if<ControlConnection>(&item)) return py::int_(connection->fd);
  if (auto* message = std::get_if<ControlMessage>(&item)) {
    MessageEvent event{message->call, py::none()};
    if (message->message) event.message = py::bytes(*message->message);
    return py::cast(std::move(event));
  }
  if (const auto* cancel = std::get_if<ControlCancel>(&item)) return py::cast(CancelEvent{cancel->call});
  auto& call = std::get<std::shared_ptr<ControlCall>>(item);
  return py::cast(
      std::make_unique<ControlCallObject>(shared_from_this(), bridge_, std::move(call), ++last_call_));
}

py::list DataPlaneObject::take() {
  std::vector<BridgeItem> items;
  bridge_.drain(items);
  py::list events;
  for (BridgeItem& item : items) events.append(to_python(item));
  return events;
}

std::shared_ptr<DataPlaneObject> make_data_plane(
    const std::shared_ptr<Core>& core, const std::optional<ListenOptions>& http,
    const std::optional<ListenOptions>& grpc, std::size_t io_threads, std::uint64_t io_spin_us,
    std::size_t max_connections, std::size_t max_http_message_bytes, std::size_t max_in_flight_bytes,
    std::uint64_t grpc_keepalive_time_ms, std::uint64_t grpc_keepalive_timeout_ms, bool access_log) {
  DataPlaneOptions options;
  options.http.enabled = http.has_value();
  if (http) options.http = *http;
  options.grpc.enabled = grpc.has_value();
  if (grpc) options.grpc = *grpc;
  options.num_threads = io_threads;
  options.spin_ns = io_spin_us * 1000;
  options.max_connections = max_connections;
  options.max_message_bytes = max_http_message_bytes;
  options.max_in_flight_bytes = max_in_flight_bytes;
  options.http2.keepalive_time_ns = grpc_keepalive_time_ms * kNsPerMs;
  options.http2.keepalive_timeout_ns = grpc_keepalive_timeout_ms * kNsPerMs;
  options.access_log = access_log;
  options.decode = core->limits;
  return std::make_shared<DataPlaneObject>(core, std::move(options));
}

// Files are read without the GIL.
void check_tls(const TlsFiles& files) {
  const py::gil_scoped_release release;
  static_cast<void>(TlsContext(files, TlsProtocol::kHttp1));
}

py::list counts_list(const std::vector<EdgeCounts::Count>& counts) {
  std::map<std::pair<ApiGroup, int>, std::uint64_t> sums;
  for (const EdgeCounts::Count& each : counts) sums[{each.group, each.status}] += each.count;
  py::list list;
  for (const auto& [kind, count] : sums) {
    list.append(py::make_tuple(std::string(name_of(kind.first)), kind.second, count));
  }
  return list;
}

py::dict usage_dict(const DataPlaneUsage& usage) {
  py::dict dict;
  dict["open_connections"] = usage.open_connections;
  dict["in_flight"] = usage.in_flight;
  dict["in_flight_bytes"] = usage.in_flight_bytes;
  dict["accepted_connections"] = usage.accepted_connections;
  dict["refused_connections"] = usage.refused_connections;
  dict["failed_handshakes"] = usage.failed_handshakes;
  return dict;
}

py::dict answered_dict(const AnsweredRequests& answered) {
  py::dict dict;
  dict["http"] = counts_list(answered.http);
  dict["grpc"] = counts_list(answered.grpc);
  return dict;
}

}  // namespace

void register_data_plane(py::module_& module) {
  py::class_<MessageEvent>(module, "ControlMessage")
      .def_readonly("call", &MessageEvent::call)
      .def_readonly("message", &MessageEvent::message);
  py::class_<CancelEvent>(module, "ControlCancel").def_readonly("call", &CancelEvent::call);
  py::class_<TlsFiles>(module, "Tls")
      .def(py::init([](std::string certificate_chain, std::string key, std::string client_roots) {
             return TlsFiles{std::move(certificate_chain), std::move(key), std::move(client_roots)};
           }),
           py::kw_only(), py::arg("certificate_chain"), py::arg("key"), py::arg("client_roots") = "")
      .def("check", &check_tls);
  py::class_<ListenOptions>(module, "Listen")
      .def(py::init([](std::string address, std::uint16_t port, bool reuse_port, std::optional<TlsFiles> tls,
                       const std::string& header_forward, const std::shared_ptr<AccessGate>& gate) {
             ListenOptions options;
             options.address = std::move(address);
             options.port = port;
             options.reuse_port = reuse_port;
             options.tls = std::move(tls);
             options.forward = HeaderForward(header_forward);
             if (gate) options.gate = *gate;
             return options;
           }),
           py::arg("address"), py::arg("port"), py::kw_only(), py::arg("reuse_port") = false,
           py::arg("tls") = py::none(), py::arg("header_forward") = "", py::arg("gate") = nullptr);

  const DataPlaneOptions defaults;
  py::class_<DataPlaneObject, std::shared_ptr<DataPlaneObject>>(module, "DataPlane")
      .def(py::init(&make_data_plane), py::arg("engine"), py::kw_only(), py::arg("http"), py::arg("grpc"),
           py::arg("io_threads") = defaults.num_threads, py::arg("io_spin_us") = 0,
           py::arg("max_connections") = defaults.max_connections,
           py::arg("max_http_message_bytes") = defaults.max_message_bytes,
           py::arg("max_in_flight_bytes") = defaults.max_in_flight_bytes,
           py::arg("grpc_keepalive_time_ms") = defaults.http2.keepalive_time_ns / kNsPerMs,
           py::arg("grpc_keepalive_timeout_ms") = defaults.http2.keepalive_timeout_ns / kNsPerMs,
           py::arg("access_log") = false)
      .def("start", [](DataPlaneObject& self) { self.plane().start(); })
      .def_property_readonly("http_port", [](DataPlaneObject& self) { return self.plane().http_port(); })
      .def_property_readonly("grpc_port", [](DataPlaneObject& self) { return self.plane().grpc_port(); })
      .def("fileno", &DataPlaneObject::fileno)
      .def("take", &DataPlaneObject::take)
      .def("refuse_inference", [](DataPlaneObject& self) { self.plane().refuse_inference(); })
      .def("give_up", [](DataPlaneObject& self) { self.plane().give_up(); })
      .def("drain", &DataPlaneObject::drain, py::arg("timeout_s"))
      .def("reload_http_tls",
           [](DataPlaneObject& self) {
             const py::gil_scoped_release release;
             return self.plane().reload_http_tls();
           })
      .def("reload_grpc_tls",
           [](DataPlaneObject& self) {
             const py::gil_scoped_release release;
             return self.plane().reload_grpc_tls();
           })
      .def("stop",
           [](DataPlaneObject& self) {
             const py::gil_scoped_release release;
             self.plane().stop();
           })
      .def("usage", [](DataPlaneObject& self) { return usage_dict(self.plane().usage()); })
      .def("answered", [](DataPlaneObject& self) { return answered_dict(self.plane().answered()); });
}

}  // namespace naiad
