#include "queue/completion_queue.h"

#include <poll.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "bindings/local_request.h"
#include "engine/trace_watch.h"
#include "request/response_window.h"

namespace naiad {
namespace {

struct Completion {
  std::unique_ptr<Request> request;  // null: one of several responses
  std::uint64_t tag = 0;
  Response response;
};

struct LocalAnswer {
  std::uint64_t tag = 0;
  py::object error = py::none();
  py::object result = py::none();
  bool last = true;
  bool refused = false;
};

// naiad._core.CompletionQueue.
class LoopQueue final : public CompletionSink {
 public:
  explicit LoopQueue(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  // Cancels what is out and waits until it has come home: requests name the sinks in here.
  ~LoopQueue() override;
  LoopQueue(const LoopQueue&) = delete;
  LoopQueue& operator=(const LoopQueue&) = delete;

  int fileno() const { return queue_.fd(); }

  py::list drain();
  void submit_local(std::uint64_t tag, const std::string& model, const std::string& version,
                    const py::dict& inputs, const std::vector<std::string>& outputs, std::string request_id,
                    const py::object& parameters, bool many, const std::shared_ptr<TraceWatch>& watch);
  void submit(std::uint64_t tag, LocalRequest& local);
  void cancel(std::uint64_t tag);

 private:
  void send(std::uint64_t tag, std::unique_ptr<Request> request);

  // Any thread.
  void respond(const Request& request, Response response) noexcept override {
    queue_.push({nullptr, request.tag, std::move(response)});
  }
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    const std::uint64_t tag = request->tag;
    queue_.push({std::move(request), tag, std::move(response)});
  }

  py::object to_answer(Completion& completion, const Request& request);

  const std::shared_ptr<Core> core_;
  CompletionQueue<Completion> queue_;
  // The requests that are out, for cancel(): only the thread of the loop and others with the GIL look here,
  // and an entry goes before its request does.
  std::unordered_map<std::uint64_t, Request*> out_;
  std::vector<Completion> drained_;
};

LoopQueue::~LoopQueue() {
  for (const auto& [tag, request] : out_) request->cancelled.store(true, std::memory_order_relaxed);
  const py::gil_scoped_release release;
  while (!out_.empty()) {
    pollfd waiting{queue_.fd(), POLLIN, 0};
    static_cast<void>(poll(&waiting, 1, -1));
    queue_.drain(drained_);
    for (const Completion& completion : drained_) {
      if (completion.request) out_.erase(completion.tag);
    }
    drained_.clear();
  }
}

void LoopQueue::submit_local(std::uint64_t tag, const std::string& model, const std::string& version,
                             const py::dict& inputs, const std::vector<std::string>& outputs,
                             std::string request_id, const py::object& parameters, bool many,
                             const std::shared_ptr<TraceWatch>& watch) {
  auto request = make_local_request(core_, model, version, inputs, outputs, std::move(request_id), parameters,
                                    many ? Responses::kMany : Responses::kOne);
  if (watch) request->trace = core_->engine.tracer().watch(watch);
  send(tag, std::move(request));
}

void LoopQueue::submit(std::uint64_t tag, LocalRequest& local) {
  send(tag, local.take());
}

void LoopQueue::send(std::uint64_t tag, std::unique_ptr<Request> request) {
  request->sink = this;
  request->tag = tag;
  if (!out_.emplace(tag, request.get()).second) {
    throw Error(Code::kAlreadyExists, "a request with tag " + std::to_string(tag) + " is out already");
  }
  const Status status = core_->engine.submit(request);
  if (status.ok()) return;
  out_.erase(tag);
  request.reset();
  core_->bin->empty();
  raise_status(status);
}

void LoopQueue::cancel(std::uint64_t tag) {
  const auto found = out_.find(tag);
  if (found != out_.end()) found->second->cancelled.store(true, std::memory_order_relaxed);
}

py::object LoopQueue::to_answer(Completion& completion, const Request& request) {
  LocalAnswer answer{completion.tag, py::none(), py::none(), completion.request != nullptr,
                     completion.response.is_refused};
  if (completion.response.is_empty) return py::cast(std::move(answer));
  if (completion.response.status.ok()) {
    try {
      answer.result = make_result(core_, request, std::move(completion.response));
    } catch (const py::error_already_set& error) {
      // One answer that cannot be shown must not take the others with it.
      answer.error = to_exception(status_of(error));
    }
  } else {
    answer.error = to_exception(completion.response.status);
  }
  return py::cast(std::move(answer));
}

py::list LoopQueue::drain() {
  queue_.drain(drained_);
  std::vector<Completion> all;
  all.swap(drained_);
  py::list answers(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    Completion& each = all[i];
    if (each.request) {
      out_.erase(each.tag);
      answers[i] = to_answer(each, *each.request);
      continue;
    }
    // It has not had its last response yet, which is behind this one, so it is still there.
    const Request& request = *out_.at(each.tag);
    const std::size_t size_bytes = each.response.size_bytes();
    answers[i] = to_answer(each, request);
    request.window->taken(size_bytes);
  }
  all.clear();
  core_->bin->empty();
  return answers;
}

}  // namespace

void register_completion_queue(py::module_& module) {
  py::class_<LocalAnswer>(module, "LocalAnswer")
      .def_readonly("tag", &LocalAnswer::tag)
      .def_readonly("error", &LocalAnswer::error)
      .def_readonly("result", &LocalAnswer::result)
      .def_readonly("last", &LocalAnswer::last)
      .def_readonly("refused", &LocalAnswer::refused);

  py::class_<LoopQueue>(module, "CompletionQueue")
      .def(py::init([](const std::shared_ptr<Core>& core) { return std::make_unique<LoopQueue>(core); }),
           py::arg("engine"))
      .def("fileno", &LoopQueue::fileno)
      .def("drain", &LoopQueue::drain)
      .def("submit_local", &LoopQueue::submit_local, py::arg("tag"), py::arg("model"), py::arg("version"),
           py::arg("inputs"), py::kw_only(), py::arg("outputs") = std::vector<std::string>{},
           py::arg("request_id") = "", py::arg("parameters") = py::none(), py::arg("many") = false,
           py::arg("watch") = py::none())
      .def("submit", &LoopQueue::submit, py::arg("tag"), py::arg("request"))
      .def("cancel", &LoopQueue::cancel, py::arg("tag"));
}

}  // namespace naiad
