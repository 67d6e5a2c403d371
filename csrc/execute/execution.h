#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "execute/response_sender.h"
#include "memory/tensor_pool.h"
#include "request/request.h"

namespace naiad {

class Gpus;

// One batch while a backend runs it: its requests, their rows gathered, its outputs cut apart again.
// Instance thread.
class Execution {
 public:
  // `observer` counts the responses of requests that are kept; it may be null.
  Execution(const ModelSpec& model, std::vector<std::unique_ptr<Request>> requests, TensorPool& pool,
            const Clock& clock, std::shared_ptr<ResponseObserver> observer = nullptr);

  const ModelSpec& model() const { return model_; }
  TensorPool& pool() { return pool_; }
  std::size_t num_requests() const { return requests_.size(); }
  // Rows of all requests together; 1 when the model does not batch.
  std::uint32_t num_rows() const { return num_rows_; }
  // Not of one that is kept.
  const Request& request(std::size_t k) const { return *requests_[k]; }

  // Input `index` of all requests, row after row, in one contiguous and 64-byte aligned tensor in the model's
  // shape (with the batch dimension first when the model batches). A single request's own bytes are handed on
  // uncopied when they are aligned. A ragged input, and one that
  // is made of the batch, has no batch dimension. Not present() when the input is optional and absent. Throws
  // Error(kUnavailable) when the pool is exhausted.
  Tensor input(std::size_t index);

  // Copies inputs that lie on a GPU to the host, for a backend that reads them there. Throws Error, which
  // names model and input, where that cannot be done. Blocks until they are there.
  void fetch_inputs(Gpus* gpus);

  // A block for an output of the batch; throws Error(kUnavailable) when the pool is exhausted.
  BufferRef allocate(std::size_t size_bytes);

  // Output `index` of the whole batch, in the model's shape; each request that wants it gets its rows as a
  // view of `tensor`. Throws Error(kInternal) when the first dimension is not num_rows().
  void output(std::size_t index, const Tensor& tensor);
  // The same of one that was made on a GPU: requests that take it there (Request::stays_on_gpu) get rows of
  // `on_gpu`, the others of `on_host`. Neither need be present() where nobody takes it.
  void output(std::size_t index, const Tensor& on_host, const Tensor& on_gpu);
  // Whether any request takes output `index` there; with `may_stay` false all take it on the host.
  bool is_taken(std::size_t index, bool on_gpu, bool may_stay) const;
  // Output `index` of request `k` alone, in the model's shape, taken over as it is.
  void output(std::size_t k, std::size_t index, Tensor tensor);
  // A parameter of the response to request `k`.
  void parameter(std::size_t k, Parameter parameter);
  // Request `k` has no answer yet: the model wants to see it again. Of an iterative model.
  void reschedule(std::size_t k);
  // Request `k` alone fails.
  void fail(std::size_t k, Status status);
  // Takes request `k` out of the batch: the sender answers it, now or after execute() has returned.
  std::unique_ptr<ResponseSender> keep(std::size_t k);
  bool kept(std::size_t k) const { return requests_[k] == nullptr; }
  // All requests that have not failed by themselves, and are not kept, fail.
  void fail_all(const Status& status);

  // Marks for the statistics: inputs are ready and the model starts; the model is done and outputs are next.
  void inputs_ready() { inputs_ready_ns_ = clock_.now_ns(); }
  void outputs_ready() { outputs_ready_ns_ = clock_.now_ns(); }

  // The model has run; its requests, but for those that are kept, know now how long it took.
  void ended(std::uint64_t end_ns);

  // A mark that a backend did not set counts as set together with the one before it; all after ended().
  std::uint64_t start_ns() const { return start_ns_; }
  std::uint64_t inputs_ready_ns() const { return inputs_ready_ns_; }
  std::uint64_t outputs_ready_ns() const { return outputs_ready_ns_; }
  std::uint64_t end_ns() const { return end_ns_; }
  ComputeTimes times() const {
    return {inputs_ready_ns_ - start_ns_, outputs_ready_ns_ - inputs_ready_ns_, end_ns_ - outputs_ready_ns_};
  }
  const Response& response(std::size_t k) const { return responses_[k]; }
  // What the statistics need of request `k`, kept or not.
  struct Counted {
    std::uint32_t num_rows = 1;
    std::uint64_t received_ns = 0;
    std::uint64_t queued_ns = 0;
    bool is_filler = false;
    bool is_part = false;
  };
  Counted counted(std::size_t k) const;
  // Of request `k`, kept or not; null: it is not traced.
  Trace* trace(std::size_t k) const;

  // Sends every request home with its answer. Nothing may be used after it.
  void complete();
  // The same of request `k`, which is not kept.
  void complete(std::size_t k);

 private:
  bool takes_on_gpu(std::size_t k, std::size_t index) const;
  // In rows that differ for those who take it on the GPU.
  void cut(std::size_t index, const Tensor& tensor, std::optional<bool> on_gpu);

  const ModelSpec& model_;
  std::vector<std::unique_ptr<Request>> requests_;
  std::vector<Response> responses_;
  std::vector<Counted> counted_;                // of the kept ones; empty when there are none
  std::vector<std::shared_ptr<Trace>> traces_;  // the same of those that are traced
  TensorPool& pool_;
  const Clock& clock_;
  const std::shared_ptr<ResponseObserver> observer_;
  std::uint32_t num_rows_ = 0;
  std::uint64_t start_ns_ = 0;
  std::uint64_t inputs_ready_ns_ = 0;
  std::uint64_t outputs_ready_ns_ = 0;
  std::uint64_t end_ns_ = 0;
};

}  // namespace naiad
