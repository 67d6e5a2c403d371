#include <pybind11/functional.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "bindings/core.h"
#include "bindings/errors.h"
#include "bindings/local_request.h"
#include "execute/worker_host.h"
#include "execute/worker_server.h"

namespace naiad {
namespace {

// A WorkerProcess of _core.pyi.
class PythonProcess final : public WorkerProcess {
 public:
  explicit PythonProcess(py::object process)
      : process_(std::move(process)), pid_(process_.attr("pid").cast<int>()) {}
  ~PythonProcess() override {
    const py::gil_scoped_acquire gil;
    process_ = py::object();
  }
  PythonProcess(const PythonProcess&) = delete;
  PythonProcess& operator=(const PythonProcess&) = delete;

  int pid() const override { return pid_; }
  // It is not taken off the table before wait(), so the number is still its own.
  void kill() override { ::kill(pid_, SIGKILL); }
  std::string wait() override {
    const py::gil_scoped_acquire gil;
    try {
      return process_.attr("wait")().cast<std::string>();
    } catch (const py::error_already_set& error) {
      return "has ended: " + status_of(error).message();
    }
  }

 private:
  py::object process_;
  const int pid_;
};

class PythonHost final : public WorkerHost {
 public:
  // `core` outlives the models that are made with it.
  PythonHost(Core& core, py::function start, py::function ask)
      : core_(core), start_(std::move(start)), ask_(std::move(ask)) {}
  ~PythonHost() override {
    const py::gil_scoped_acquire gil;
    start_ = py::function();
    ask_ = py::function();
  }
  PythonHost(const PythonHost&) = delete;
  PythonHost& operator=(const PythonHost&) = delete;

  std::unique_ptr<WorkerProcess> start(const WorkerFiles& files, const std::string& instance_name,
                                       const Device& device) override {
    const py::gil_scoped_acquire gil;
    try {
      py::dict fds;
      fds["channel"] = files.channel;
      fds["server_arena"] = files.server_arena;
      fds["server_arena_bytes"] = files.server_arena_bytes;
      fds["worker_arena"] = files.worker_arena;
      fds["worker_arena_bytes"] = files.worker_arena_bytes;
      fds["event"] = files.event;
      const char* const kind = device.kind == DeviceKind::kGpu ? "GPU" : "CPU";
      return std::make_unique<PythonProcess>(start_(fds, instance_name, kind, device.id));
    } catch (const py::error_already_set& error) {
      const Status status = status_of(error);
      throw Error(status);
    }
  }

  Status submit(std::unique_ptr<Request>& request, std::uint64_t caller, bool takes_many) override {
    if (!takes_many) refuse_many(*request);
    Status status = core_.engine.begin_call(caller, *request);
    if (status.ok()) status = core_.engine.submit(request);
    return status;
  }

  void ask(std::string text, std::function<void(std::string)> told) override {
    const py::gil_scoped_acquire gil;
    try {
      ask_(text, py::cpp_function([told = std::move(told)](std::string answer) { told(std::move(answer)); }));
    } catch (const py::error_already_set& error) {
      log_error("a worker asks for what there is not: " + status_of(error).message());
    }
  }

 private:
  Core& core_;
  py::function start_;
  py::function ask_;
};

BackendFactoryObject make_factory(const std::shared_ptr<Core>& core, py::function start, py::function ask,
                                  double start_limit_s, double execute_limit_s, double stop_limit_s) {
  const auto ns = [](double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); };
  WorkerLimits limits;
  limits.start_ns = ns(start_limit_s);
  limits.execute_ns = ns(execute_limit_s);
  limits.stop_ns = ns(stop_limit_s);
  return {make_worker_factory(std::make_shared<PythonHost>(*core, std::move(start), std::move(ask)), limits)};
}

// naiad._core.WorkerConnection: the worker's end.
class Connection {
 public:
  explicit Connection(const WorkerFiles& files)
      : core_(std::make_shared<Core>(make_arena_pool_of(files.worker_arena, files.worker_arena_bytes),
                                     DecodeLimits{}, nullptr, 0, std::nullopt, nullptr)),
        server_(files, core_->engine.pool()) {
    core_->engine.set_elsewhere(
        [this](std::unique_ptr<Request>& request) { return server_.submit(request); });
  }

  const std::shared_ptr<Core>& core() const { return core_; }
  WorkerServer& server() { return server_; }

 private:
  std::shared_ptr<Core> core_;
  WorkerServer server_;
};

}  // namespace

void register_worker(py::module_& module) {
  module.def("worker_factory", &make_factory, py::arg("engine"), py::arg("start"), py::arg("ask"),
             py::kw_only(), py::arg("start_limit_s") = 0.0, py::arg("execute_limit_s") = 0.0,
             py::arg("stop_limit_s") = 30.0);
  module.def(
      "die_with_parent",
      [](int parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);  // it was faster
      },
      py::arg("parent"));
  py::class_<Connection>(module, "WorkerConnection")
      .def(py::init([](int channel, int server_arena, std::size_t server_arena_bytes, int worker_arena,
                       std::size_t worker_arena_bytes, int event) {
             return std::make_unique<Connection>(WorkerFiles{channel, server_arena, server_arena_bytes,
                                                             worker_arena, worker_arena_bytes, event});
           }),
           py::kw_only(), py::arg("channel"), py::arg("server_arena"), py::arg("server_arena_bytes"),
           py::arg("worker_arena"), py::arg("worker_arena_bytes"), py::arg("event"))
      .def_property_readonly("engine", &Connection::core)
      .def_property_readonly("arenas",
                             [](Connection& self) {
                               const auto row = [](const Arena& arena, bool is_writable) {
                                 return py::make_tuple(reinterpret_cast<std::uintptr_t>(arena.data()),
                                                       arena.capacity_bytes(), is_writable);
                               };
                               return py::make_tuple(row(self.server().server_arena(), false),
                                                     row(*self.core()->engine.pool().arena(), true));
                             })
      .def(
          "serve",
          [](Connection& self, const BackendFactoryObject& factory, const std::string& name,
             const std::string& device_kind, int device_id) {
            const Device device{device_kind == "GPU" ? DeviceKind::kGpu : DeviceKind::kCpu, device_id};
            const py::gil_scoped_release release;
            self.server().serve(factory.factory, name, device);
          },
          py::arg("factory"), py::arg("name"), py::arg("device_kind"), py::arg("device_id"))
      .def(
          "ask",
          [](Connection& self, const std::string& text) {
            const py::gil_scoped_release release;
            return self.server().ask(text);
          },
          py::arg("text"))
      .def(
          "tell",
          [](Connection& self, const std::string& text) {
            const py::gil_scoped_release release;
            self.server().tell(text);
          },
          py::arg("text"));
}

}  // namespace naiad
