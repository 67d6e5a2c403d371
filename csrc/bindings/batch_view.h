#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/request_view.h"

namespace naiad {

// Those that at least one request of a batch wants.
std::vector<std::string> wanted_outputs_of(const Execution& run);

// naiad._core.BatchView: the whole batch, for models that take its rows in one tensor per input. With the
// GIL.
class BatchView {
 public:
  explicit BatchView(std::shared_ptr<ExecutionLink> link) : link_(std::move(link)) {}

  std::size_t num_requests() const { return execution().num_requests(); }
  std::uint32_t num_rows() const { return execution().num_rows(); }
  // Whether nobody waits for any request.
  bool cancelled() const;
  std::uint64_t instance() const { return link_->instance; }
  // Those that at least one request wants.
  std::vector<std::string> wanted_outputs() const;

  // (name, datatype, array) of the inputs that are present, rows of all requests gathered. An array may be
  // written to where its memory is this batch's alone. Marks the inputs as ready.
  py::list inputs();
  // Copied into the pool; cut into the rows of the requests.
  void output(const std::string& name, const std::string& datatype, const py::array& array);
  // Memory of the pool that goes out as the output: to be filled before execute_batch() returns.
  py::array place(const std::string& name, const std::string& datatype,
                  const std::vector<std::int64_t>& shape);

 private:
  Execution& execution() const;
  void mark_outputs();

  std::shared_ptr<ExecutionLink> link_;
  bool has_outputs_ = false;
};

}  // namespace naiad
