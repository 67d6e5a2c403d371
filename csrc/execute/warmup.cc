#include "execute/warmup.h"

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "execute/execution.h"
#include "request/response_window.h"
#include "schedule/sequence_inputs.h"

namespace naiad {
namespace {

// Counts answers and keeps the first failure.
class AnswerCounter final : public CompletionSink {
 public:
  explicit AnswerCounter(std::size_t num_expected) : num_left_(num_expected) {}

  void respond(const Request& request, Response response) noexcept override {
    request.window->taken(response.size_bytes());
    note(response.status);
  }
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    note(response.status);
    request.reset();
    const std::lock_guard lock(mutex_);
    if (--num_left_ == 0) done_.notify_one();
  }

  // Blocks until all are there.
  Status wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return num_left_ == 0; });
    return failure_;
  }

 private:
  void note(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (failure_.ok() && !status.ok()) failure_ = status;
  }

  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t num_left_;
  Status failure_;
};

std::unique_ptr<Request> request_of(const std::shared_ptr<const ModelSpec>& model,
                                    const WarmupSample& sample) {
  auto request = std::make_unique<Request>();
  request->spec = model;
  request->model_name = model->name;
  request->inputs.resize(model->inputs.size());
  request->wanted.assign(model->outputs.size(), true);
  if (model->sequence) {
    // As the first request of a sequence; what the sample says of it stands above that.
    request->sequence_id = 1;
    request->sequence_start = true;
    const SequenceInputs inputs(*model);
    inputs.fill(*inputs.begin({1, ""}), *request);
  }
  for (const auto& [index, tensor] : sample.inputs) request->inputs[index] = tensor;
  return request;
}

void run_and_complete(Execution& execution, const std::function<void(Execution&)>& run) {
  try {
    run(execution);
  } catch (const Error& error) {
    execution.fail_all(error.status());
  } catch (const std::exception& error) {
    execution.fail_all({Code::kInternal, error.what()});
  }
  execution.complete();
}

}  // namespace

void warm_up(const std::shared_ptr<const ModelSpec>& model, TensorPool& pool, const Clock& clock,
             const std::function<void(Execution&)>& run) {
  for (const WarmupSample& sample : model->warmups) {
    for (std::uint32_t round = 0; round < sample.count; ++round) {
      AnswerCounter answers(sample.num_requests);
      std::vector<std::unique_ptr<Request>> requests;
      for (std::uint32_t i = 0; i < sample.num_requests; ++i) {
        requests.push_back(request_of(model, sample));
        requests.back()->sink = &answers;
      }
      Execution execution(*model, std::move(requests), pool, clock);
      run_and_complete(execution, run);
      if (const Status status = answers.wait(); !status.ok()) {
        throw Error(status.code(), "failed to run warmup sample '" + sample.name + "' of model '" +
                                       model->name + "': " + status.message());
      }
    }
  }
}

}  // namespace naiad
