#include "execute/execution.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "execute/fetch.h"
#include "execute/ragged.h"
#include "execute/rows.h"

namespace naiad {
namespace {

bool aligned(const std::byte* data) {
  return reinterpret_cast<std::uintptr_t>(data) % kTensorAlignment == 0;
}

}  // namespace

Execution::Execution(const ModelSpec& model, std::vector<std::unique_ptr<Request>> requests, TensorPool& pool,
                     const Clock& clock, std::shared_ptr<ResponseObserver> observer)
    : model_(model),
      requests_(std::move(requests)),
      responses_(requests_.size()),
      pool_(pool),
      clock_(clock),
      observer_(std::move(observer)),
      start_ns_(clock.now_ns()) {
  for (const auto& request : requests_) {
    num_rows_ += request->num_rows;
    request->timestamps.compute_start_ns = start_ns_;
  }
}

Tensor Execution::input(std::size_t index) {
  const TensorSpec& spec = model_.inputs[index];
  if (spec.generated) {
    const auto made = std::ranges::find(model_.batch_inputs, index, &BatchInput::input);
    return make_batch_input(*made, spec.dtype, requests_, pool_);
  }
  if (spec.ragged) return gather_ragged(requests_, index, pool_);
  const Tensor& first = requests_.front()->inputs[index];
  if (!first.present()) return {};
  // All have the same values of it: batch_together().
  const std::size_t num_parts = spec.shape_values ? 1 : requests_.size();
  if (num_parts == 1 && aligned(first.data)) return first;

  const auto parts = std::span(requests_).first(num_parts);
  std::size_t size_bytes = 0;
  for (const auto& request : parts) size_bytes += request->inputs[index].size_bytes;
  BufferRef slab = allocate(size_bytes);
  std::byte* end = slab->data();
  for (const auto& request : parts) {
    const Tensor& rows = request->inputs[index];
    if (rows.size_bytes != 0) std::memcpy(end, rows.data, rows.size_bytes);
    end += rows.size_bytes;
  }
  Tensor tensor{first.dtype, first.shape, slab->data(), size_bytes, std::move(slab)};
  if (model_.batches() && !spec.shape_values) tensor.shape[0] = num_rows_;
  return tensor;
}

void Execution::fetch_inputs(Gpus* gpus) {
  for (const auto& request : requests_) {
    for (std::size_t i = 0; i < request->inputs.size(); ++i) {
      if (!request->inputs[i].is_on_gpu()) continue;
      const Status status = fetch(request->inputs[i], pool_, gpus);
      if (!status.ok()) throw Error(status.code(), unfetched(model_.inputs[i].name, model_.name, status));
    }
  }
}

BufferRef Execution::allocate(std::size_t size_bytes) {
  return allocate_output(pool_, size_bytes);
}

bool Execution::takes_on_gpu(std::size_t k, std::size_t index) const {
  const std::vector<bool>& stays = requests_[k]->stays_on_gpu;
  return !stays.empty() && stays[index];
}

bool Execution::is_taken(std::size_t index, bool on_gpu, bool may_stay) const {
  for (std::size_t k = 0; k < requests_.size(); ++k) {
    if (kept(k) || !requests_[k]->wanted[index]) continue;
    if ((may_stay && takes_on_gpu(k, index)) == on_gpu) return true;
  }
  return false;
}

void Execution::output(std::size_t index, const Tensor& tensor) {
  cut(index, tensor, std::nullopt);
}

void Execution::output(std::size_t index, const Tensor& on_host, const Tensor& on_gpu) {
  if (on_host.present()) cut(index, on_host, false);
  if (on_gpu.present()) cut(index, on_gpu, true);
}

void Execution::cut(std::size_t index, const Tensor& tensor, std::optional<bool> on_gpu) {
  const auto is_for = [&](std::size_t k) { return !on_gpu || takes_on_gpu(k, index) == *on_gpu; };
  const auto scattered = std::ranges::find(model_.batch_outputs, index, &BatchOutput::output);
  if (scattered != model_.batch_outputs.end()) {
    std::size_t offset = 0;
    for (std::size_t k = 0; k < requests_.size(); ++k) {
      const Tensor& source = requests_[k]->inputs[scattered->source];
      Tensor rows = scatter_output(model_.outputs[index], tensor, source, model_.batches(), offset);
      if (is_for(k)) output(k, index, std::move(rows));
    }
    return;
  }
  if (!model_.batches()) {
    if (is_for(0)) output(0, index, tensor);
    return;
  }
  if (tensor.shape.empty() || tensor.shape[0] != static_cast<std::int64_t>(num_rows_)) {
    throw Error(Code::kInternal, "output '" + model_.outputs[index].name + "' of model '" + model_.name +
                                     "' has shape " + tensor.shape.to_string() + " for a batch of " +
                                     std::to_string(num_rows_) + " rows");
  }
  RowCutter cutter(tensor);
  for (std::size_t k = 0; k < requests_.size(); ++k) {
    Tensor rows = cutter.next(requests_[k]->num_rows);
    if (is_for(k)) output(k, index, std::move(rows));
  }
}

void Execution::output(std::size_t k, std::size_t index, Tensor tensor) {
  if (!requests_[k]->wanted[index] || !responses_[k].status.ok()) return;
  const TensorSpec& spec = model_.outputs[index];
  if (spec.reshape) tensor.shape = undo_reshape(spec, tensor.shape, model_.batches());
  responses_[k].outputs.push_back({index, std::move(tensor)});
}

void Execution::parameter(std::size_t k, Parameter parameter) {
  responses_[k].parameters.push_back(std::move(parameter));
}

void Execution::reschedule(std::size_t k) {
  responses_[k] = Response{};
  responses_[k].reschedule = true;
}

void Execution::fail(std::size_t k, Status status) {
  responses_[k].outputs.clear();
  responses_[k].status = std::move(status);
}

std::unique_ptr<ResponseSender> Execution::keep(std::size_t k) {
  if (counted_.empty()) counted_.resize(requests_.size());
  counted_[k] = counted(k);
  if (requests_[k]->trace) {
    traces_.resize(requests_.size());
    traces_[k] = requests_[k]->trace;
  }
  return std::make_unique<ResponseSender>(std::move(requests_[k]), pool_, clock_, observer_);
}

Execution::Counted Execution::counted(std::size_t k) const {
  if (kept(k)) return counted_[k];
  const Request& request = *requests_[k];
  return {request.num_rows, request.timestamps.received_ns, request.timestamps.queued_ns, request.is_filler,
          request.is_part};
}

Trace* Execution::trace(std::size_t k) const {
  if (!kept(k)) return requests_[k]->trace.get();
  return traces_.empty() ? nullptr : traces_[k].get();
}

void Execution::fail_all(const Status& status) {
  for (std::size_t k = 0; k < responses_.size(); ++k) {
    if (!kept(k) && responses_[k].status.ok()) fail(k, status);
  }
}

void Execution::ended(std::uint64_t end_ns) {
  end_ns_ = end_ns;
  if (inputs_ready_ns_ == 0) inputs_ready_ns_ = start_ns_;
  if (outputs_ready_ns_ == 0) outputs_ready_ns_ = end_ns_;
  for (const auto& request : requests_) {
    if (request) request->computed.add(times());
  }
}

void Execution::complete() {
  for (std::size_t k = 0; k < requests_.size(); ++k) {
    if (!kept(k)) complete(k);
  }
}

void Execution::complete(std::size_t k) {
  CompletionSink* const sink = requests_[k]->sink;
  sink->complete(std::move(requests_[k]), std::move(responses_[k]));
}

}  // namespace naiad
