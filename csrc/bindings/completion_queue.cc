#include "queue/completion_queue.h"

#include <poll.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "protocol/v2_grpc.h"
#include "protocol/v2_http.h"

namespace naiad {
namespace {

// Up to here an answer is copied into one bytes object; above it its tensors are sent from where they lie.
constexpr std::size_t kCopyLimitBytes = 64 << 10;
// From here on encoding and decoding let go of the GIL.
constexpr std::size_t kLongWorkBytes = 64 << 10;

enum class Wire : unsigned char { kHttp, kGrpc, kLocal };

struct Completion {
  Wire wire = Wire::kLocal;
  std::unique_ptr<Request> request;
  Response response;
};

// The way home of the requests that came in one wire format.
class WireSink final : public CompletionSink {
 public:
  WireSink(Wire wire, CompletionQueue<Completion>& queue) : wire_(wire), queue_(queue) {}

  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    queue_.push({wire_, std::move(request), std::move(response)});
  }

 private:
  const Wire wire_;
  CompletionQueue<Completion>& queue_;
};

struct HttpAnswer {
  std::uint64_t tag = 0;
  py::object error = py::none();
  py::object json_size = py::none();
  py::object body = py::none();
};

struct GrpcAnswer {
  std::uint64_t tag = 0;
  py::object error = py::none();
  py::object message = py::none();
};

struct LocalAnswer {
  std::uint64_t tag = 0;
  py::object error = py::none();
  py::object result = py::none();
};

// An answer between its encoding, which needs no GIL, and its Python object.
struct Encoded {
  Completion completion;
  Status status;
  WireMessage message;
  V2HttpHead head;
};

std::size_t size_of(const Response& response) {
  std::size_t size_bytes = 0;
  for (const OutputTensor& output : response.outputs) size_bytes += output.tensor.size_bytes;
  return size_bytes;
}

py::bytes join(const WireMessage& message) {
  py::bytes joined(nullptr, message.size_bytes());
  char* at = PyBytes_AS_STRING(joined.ptr());
  for (const WireMessage::Piece& piece : message.pieces()) {
    const auto bytes = message.bytes(piece);
    std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  return joined;
}

// naiad._core.CompletionQueue.
class LoopQueue {
 public:
  explicit LoopQueue(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  // Cancels what is out and waits until it has come home: requests name the sinks in here.
  ~LoopQueue();
  LoopQueue(const LoopQueue&) = delete;
  LoopQueue& operator=(const LoopQueue&) = delete;

  int fileno() const { return queue_.fd(); }

  py::list drain();
  void submit_http(std::uint64_t tag, std::string model, std::string version, const py::object& body,
                   std::optional<std::size_t> header_length);
  void submit_grpc(std::uint64_t tag, const py::object& message);
  void submit_local(std::uint64_t tag, const std::string& model, const std::string& version,
                    const py::dict& inputs, const std::vector<std::string>& outputs, std::string request_id,
                    const py::object& parameters);
  void cancel(std::uint64_t tag);

 private:
  // Sets the body of the request to the bytes of a Python object.
  std::span<const std::byte> take_body(Request& request, const py::object& body);
  // Queues it, or raises.
  void submit(std::unique_ptr<Request> request, std::uint64_t tag, WireSink& sink);
  // A short body may stand for large tensors in shared memory.
  bool is_long_work(std::span<const std::byte> body) const {
    return body.size() >= kLongWorkBytes || core_->regions != nullptr;
  }
  void encode(Encoded& encoded);
  py::object to_answer(Encoded& encoded);
  py::object http_body(Encoded& encoded);

  const std::shared_ptr<Core> core_;
  CompletionQueue<Completion> queue_;
  WireSink http_{Wire::kHttp, queue_};
  WireSink grpc_{Wire::kGrpc, queue_};
  WireSink local_{Wire::kLocal, queue_};
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
    for (const Completion& completion : drained_) out_.erase(completion.request->tag);
    drained_.clear();
  }
}

std::span<const std::byte> LoopQueue::take_body(Request& request, const py::object& body) {
  py::object owner = body;
  const char* data = nullptr;
  std::size_t size_bytes = 0;
  if (PyBytes_Check(body.ptr())) {
    data = PyBytes_AS_STRING(body.ptr());
    size_bytes = static_cast<std::size_t>(PyBytes_GET_SIZE(body.ptr()));
  } else {
    // A memoryview of its own holds the exporter still (a bytearray cannot be resized while it lives).
    owner = py::reinterpret_steal<py::object>(PyMemoryView_GetContiguous(body.ptr(), PyBUF_READ, 'C'));
    if (!owner) throw py::error_already_set();
    const Py_buffer* view = PyMemoryView_GET_BUFFER(owner.ptr());
    data = static_cast<const char*>(view->buf);
    size_bytes = static_cast<std::size_t>(view->len);
  }
  request.body = make_python_buffer(std::move(owner), data, size_bytes, core_->bin);
  return {reinterpret_cast<const std::byte*>(data), size_bytes};
}

void LoopQueue::submit(std::unique_ptr<Request> request, std::uint64_t tag, WireSink& sink) {
  request->sink = &sink;
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

void LoopQueue::submit_http(std::uint64_t tag, std::string model, std::string version, const py::object& body,
                            std::optional<std::size_t> header_length) {
  auto request = std::make_unique<Request>();
  const auto bytes = take_body(*request, body);
  request->model_name = request->text.emplace_back(std::move(model));
  request->model_version = request->text.emplace_back(std::move(version));
  Status status;
  {
    std::shared_ptr<Model> target;
    std::optional<py::gil_scoped_release> release;
    if (is_long_work(bytes)) release.emplace();
    status = core_->engine.find(request->model_name, request->model_version, target);
    if (status.ok()) {
      status = decode_v2_http(bytes, header_length, &target->spec(), core_->engine.pool(), core_->limits, *request);
    }
    // A model that has been withdrawn meanwhile ends here, which joins its threads.
    if (!release && target.use_count() == 1) release.emplace();
    target.reset();
  }
  if (!status.ok()) raise_status(status);
  submit(std::move(request), tag, http_);
}

void LoopQueue::submit_grpc(std::uint64_t tag, const py::object& message) {
  auto request = std::make_unique<Request>();
  const auto bytes = take_body(*request, message);
  Status status;
  {
    std::optional<py::gil_scoped_release> release;
    if (is_long_work(bytes)) release.emplace();
    status = decode_v2_grpc(bytes, core_->engine.pool(), core_->limits, *request);
  }
  if (!status.ok()) raise_status(status);
  submit(std::move(request), tag, grpc_);
}

void LoopQueue::submit_local(std::uint64_t tag, const std::string& model, const std::string& version,
                             const py::dict& inputs, const std::vector<std::string>& outputs,
                             std::string request_id, const py::object& parameters) {
  submit(make_local_request(core_, model, version, inputs, outputs, std::move(request_id), parameters), tag, local_);
}

void LoopQueue::cancel(std::uint64_t tag) {
  const auto found = out_.find(tag);
  if (found != out_.end()) found->second->cancelled.store(true, std::memory_order_relaxed);
}

void LoopQueue::encode(Encoded& encoded) {
  const Request& request = *encoded.completion.request;
  const Response& response = encoded.completion.response;
  encoded.status = response.status;
  if (!encoded.status.ok()) return;
  TensorPool& pool = core_->engine.pool();
  if (encoded.completion.wire == Wire::kHttp) {
    encoded.status = encode_v2_http(request, response, pool, encoded.message, encoded.head);
  } else if (encoded.completion.wire == Wire::kGrpc) {
    encoded.status = encode_v2_grpc(request, response, pool, encoded.message);
  }
}

py::object LoopQueue::http_body(Encoded& encoded) {
  const WireMessage& message = encoded.message;
  if (message.size_bytes() <= kCopyLimitBytes) return join(message);
  py::list parts;
  for (const WireMessage::Piece& piece : message.pieces()) {
    const auto bytes = message.bytes(piece);
    const OutputTensor* source = nullptr;
    for (const OutputTensor& output : encoded.completion.response.outputs) {
      if (piece.data != nullptr && piece.data == output.tensor.data) source = &output;
    }
    if (source != nullptr) {
      parts.append(make_memoryview(bytes, {core_, source->tensor.owner}));
    } else {
      parts.append(py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
  }
  return parts;
}

py::object LoopQueue::to_answer(Encoded& encoded) {
  const std::uint64_t tag = encoded.completion.request->tag;
  const py::object error = encoded.status.ok() ? py::none() : to_exception(encoded.status);
  const bool ok = encoded.status.ok();
  switch (encoded.completion.wire) {
    case Wire::kHttp: {
      HttpAnswer answer{tag, error, py::none(), py::none()};
      if (ok) answer.body = http_body(encoded);
      if (ok && encoded.head.json_size_bytes) answer.json_size = py::int_(*encoded.head.json_size_bytes);
      return py::cast(std::move(answer));
    }
    case Wire::kGrpc: {
      GrpcAnswer answer{tag, error, py::none()};
      if (ok) answer.message = join(encoded.message);
      return py::cast(std::move(answer));
    }
    case Wire::kLocal:
      break;
  }
  LocalAnswer answer{tag, error, py::none()};
  if (ok) answer.result = make_result(core_, *encoded.completion.request, std::move(encoded.completion.response));
  return py::cast(std::move(answer));
}

py::list LoopQueue::drain() {
  queue_.drain(drained_);
  std::vector<Encoded> all(drained_.size());
  std::size_t size_bytes = 0;
  for (std::size_t i = 0; i < drained_.size(); ++i) {
    out_.erase(drained_[i].request->tag);
    size_bytes += size_of(drained_[i].response);
    all[i].completion = std::move(drained_[i]);
  }
  drained_.clear();
  {
    std::optional<py::gil_scoped_release> release;
    if (size_bytes >= kLongWorkBytes) release.emplace();
    for (Encoded& encoded : all) encode(encoded);
  }
  py::list answers(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    try {
      answers[i] = to_answer(all[i]);
    } catch (const py::error_already_set& error) {
      // One answer that cannot be shown must not take the others with it.
      all[i].status = status_of(error);
      answers[i] = to_answer(all[i]);
    }
  }
  all.clear();
  core_->bin->empty();
  return answers;
}

}  // namespace

void register_completion_queue(py::module_& module) {
  py::class_<HttpAnswer>(module, "HttpAnswer")
      .def_readonly("tag", &HttpAnswer::tag)
      .def_readonly("error", &HttpAnswer::error)
      .def_readonly("json_size", &HttpAnswer::json_size)
      .def_readonly("body", &HttpAnswer::body);
  py::class_<GrpcAnswer>(module, "GrpcAnswer")
      .def_readonly("tag", &GrpcAnswer::tag)
      .def_readonly("error", &GrpcAnswer::error)
      .def_readonly("message", &GrpcAnswer::message);
  py::class_<LocalAnswer>(module, "LocalAnswer")
      .def_readonly("tag", &LocalAnswer::tag)
      .def_readonly("error", &LocalAnswer::error)
      .def_readonly("result", &LocalAnswer::result);

  py::class_<LoopQueue>(module, "CompletionQueue")
      .def(py::init([](const std::shared_ptr<Core>& core) { return std::make_unique<LoopQueue>(core); }),
           py::arg("engine"))
      .def("fileno", &LoopQueue::fileno)
      .def("drain", &LoopQueue::drain)
      .def("submit_http", &LoopQueue::submit_http, py::arg("tag"), py::arg("model"), py::arg("version"),
           py::arg("body"), py::arg("header_length") = py::none())
      .def("submit_grpc", &LoopQueue::submit_grpc, py::arg("tag"), py::arg("message"))
      .def("submit_local", &LoopQueue::submit_local, py::arg("tag"), py::arg("model"), py::arg("version"),
           py::arg("inputs"), py::kw_only(), py::arg("outputs") = std::vector<std::string>{},
           py::arg("request_id") = "", py::arg("parameters") = py::none())
      .def("cancel", &LoopQueue::cancel, py::arg("tag"));
}

}  // namespace naiad
