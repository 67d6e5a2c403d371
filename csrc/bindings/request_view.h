#pragma once

#include <pybind11/numpy.h>

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/python_object.h"
#include "execute/execution.h"
#include "execute/response_sender.h"

namespace naiad {

// The senders of an instance that Python may still use, so that none outlives what it needs.
class OpenSenders {
 public:
  // Any thread.
  void add(const std::shared_ptr<ResponseSender>& sender);
  // Ends them all; blocks until calls that are in them are out. Without the GIL.
  void abandon();

 private:
  std::mutex mutex_;
  std::list<std::weak_ptr<ResponseSender>> senders_;
};

// The batch that RequestViews look at; cut when execute() has returned.
struct ExecutionLink {
  Execution* execution = nullptr;
  std::shared_ptr<OpenSenders> senders;
  std::uint64_t instance = 0;  // its number in the CallGraph
};

// The position of an output that a model gives; throws Error(kInvalidArgument) when it does not fit the
// configuration.
std::size_t output_index(const ModelSpec& model, const std::string& name, const std::string& datatype);
// A tensor of the pool with the elements of an array. Throws Error. With the GIL.
Tensor copy_of_array(const py::array& array, DataType dtype, TensorPool& pool);

// An output as Python gives it: its name, its data type, its array.
using GivenOutput = std::tuple<std::string, std::string, py::array>;

// naiad._core.ResponseSender: answers a request that the model has kept. Python's threads, with the GIL.
class SenderObject {
 public:
  explicit SenderObject(std::shared_ptr<ResponseSender> sender) : sender_(std::move(sender)) {}
  SenderObject(const SenderObject&) = delete;
  SenderObject& operator=(const SenderObject&) = delete;
  ~SenderObject();

  // Copies the outputs into the pool and gives the response; blocks, without the GIL, while too much is on
  // its way to the client.
  void send(const std::vector<GivenOutput>& outputs, const py::object& parameters, bool is_last);
  // A failure is a response too.
  void fail(const std::string& code, const std::string& message, bool is_last);
  void finish();
  bool cancelled() const { return sender_->cancelled(); }
  // Whether send() would wait.
  bool is_full() const;

 private:
  void give(Response response, bool is_last);

  std::shared_ptr<ResponseSender> sender_;
};

// naiad._core.RequestView: request `k` of the batch. With the GIL.
class RequestView {
 public:
  RequestView(std::shared_ptr<ExecutionLink> link, std::size_t k) : link_(std::move(link)), k_(k) {}

  // Throws Error(kInvalidArgument) when execute() has returned, unless the request is kept.
  const Request& request() const;
  py::list inputs() const;
  py::list requested_outputs() const;
  bool cancelled() const;
  std::uint64_t instance() const { return link_->instance; }

  // Copied into the pool: a model may use its array again as soon as execute() has returned.
  void output(const std::string& name, const std::string& datatype, const py::array& array);
  void parameter(const std::string& name, const py::handle& value);
  void fail(const std::string& code, const std::string& message);

  // Whether the model may ask to see a request again.
  bool can_reschedule() const;
  // The model sees it again; it has no answer, or its sender has not given the last one.
  void reschedule();

  // Takes the request out of the batch; once.
  std::unique_ptr<SenderObject> keep();

 private:
  Execution& execution() const;

  std::shared_ptr<ExecutionLink> link_;
  std::size_t k_;
  std::shared_ptr<const Request> kept_;   // what it says, once it is kept
  std::weak_ptr<ResponseSender> sender_;  // the SenderObject's: the last of those to go ends the request
};

}  // namespace naiad
