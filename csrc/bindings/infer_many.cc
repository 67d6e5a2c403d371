#include <pybind11/stl.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "queue/parker.h"

namespace naiad {
namespace {

// A thread that waits for a known number of requests; the tag of each is its place.
class GatheringSink final : public CompletionSink {
 public:
  struct Home {
    std::unique_ptr<Request> request;
    Response response;
  };

  explicit GatheringSink(std::size_t count) : homes_(count), left_to_come_(count) {}

  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    Home& home = homes_[request->tag];
    home.request = std::move(request);
    home.response = std::move(response);
    arrive();
  }

  // Request `place` was refused: nothing of it will come.
  void refuse(std::size_t place, Status status) {
    homes_[place].response.status = std::move(status);
    arrive();
  }

  // Blocks until all have come.
  void wait() {
    while (left_to_come_.load(std::memory_order_acquire) != 0) {
      const Parker::Ticket ticket = parker_.prepare();
      if (left_to_come_.load(std::memory_order_acquire) == 0) {
        parker_.cancel(ticket);
        break;
      }
      parker_.wait(ticket);
    }
    while (!last_has_left_.load(std::memory_order_acquire)) LinuxParking::relax();
  }

  std::vector<Home>& homes() { return homes_; }

 private:
  void arrive() {
    // Acq_rel: the last to arrive has seen all other homes filled, and wait() sees them through it.
    if (left_to_come_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    parker_.notify_one();
    last_has_left_.store(true, std::memory_order_release);  // pairs with wait(): this is not used any more
  }

  std::vector<Home> homes_;
  Parker parker_{Parker::patient_spins()};
  std::atomic<std::size_t> left_to_come_;
  std::atomic<bool> last_has_left_{false};
};

py::list infer_many(const std::shared_ptr<Core>& core, const std::string& model, const std::string& version,
                    const std::vector<py::dict>& inputs, const std::vector<std::string>& outputs) {
  std::vector<std::unique_ptr<Request>> requests;
  requests.reserve(inputs.size());
  for (const py::dict& one : inputs) {
    requests.push_back(make_local_request(core, model, version, one, outputs, "", py::none()));
  }
  GatheringSink sink(inputs.size());
  if (!inputs.empty()) {
    const py::gil_scoped_release release;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      requests[i]->sink = &sink;
      requests[i]->tag = i;
      if (Status status = core->engine.submit(requests[i]); !status.ok()) sink.refuse(i, std::move(status));
    }
    sink.wait();
  }
  py::list results(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    GatheringSink::Home& home = sink.homes()[i];
    results[i] = home.response.status.ok() ? make_result(core, *home.request, std::move(home.response))
                                           : to_exception(home.response.status);
    home.request.reset();
  }
  requests.clear();
  core->bin->empty();
  return results;
}

}  // namespace

void register_infer_many(py::module_& module) {
  module.def("infer_many", &infer_many, py::arg("engine"), py::arg("model"), py::arg("version"),
             py::arg("inputs"), py::kw_only(), py::arg("outputs") = std::vector<std::string>{});
}

}  // namespace naiad
