#include "engine/ensemble_run.h"

#include <algorithm>
#include <string>
#include <utility>

#include "request/response_window.h"
#include "request/trace.h"

namespace naiad {
namespace {

// A BOOL tensor's first element.
bool is_true(const Tensor& tensor) {
  return tensor.dtype == DataType::kBool && tensor.size_bytes > 0 && tensor.data[0] != std::byte{0};
}

}  // namespace

EnsembleRun::EnsembleRun(const EnsemblePlan& plan, const EnsembleOrder& order, const Models& models,
                         const Clock& clock, Ended ended, std::unique_ptr<Request> request)
    : plan_(plan),
      order_(order),
      models_(models),
      clock_(clock),
      ended_(std::move(ended)),
      request_(std::move(request)),
      spec_(request_->spec),
      limited_(plan.steps.size()),
      num_out_(plan.steps.size()) {
  scope_.client = request_.get();
  outcome_.received_ns = request_->timestamps.received_ns;
  outcome_.num_rows = request_->num_rows;
}

void EnsembleRun::start() {
  const auto self = shared_from_this();
  Lock lock(mutex_);
  self_ = self;
  if (spec_->decoupled) {
    request_->window = std::make_shared<ResponseWindow>();
    request_->window->on_room([weak = weak_from_this()] {
      if (const auto run = weak.lock()) run->release_windows();
    });
  }
  Lane& root = lanes_.emplace_back();
  root.tensors.resize(plan_.tensors.size());
  for (std::size_t i = 0; i < plan_.inputs.size(); ++i) root.tensors[plan_.inputs[i]] = request_->inputs[i];
  root.left = order_.num_producers;
  root.states.assign(plan_.steps.size(), State::kWaiting);
  root.owned.assign(plan_.steps.size(), true);
  root.num_undone = plan_.steps.size();
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    if (root.left[s] == 0) ready_.push_back({&root, s});
  }
  advance(lock);
}

void EnsembleRun::respond(const Request& request, Response response) noexcept {
  const auto self = shared_from_this();
  Lock lock(mutex_);
  const Ready slot = slots_[request.tag];
  if (!response.status.ok()) {
    fail(slot.step, response.status);
    request.window->taken(response.size_bytes());
  } else {
    spawn(*slot.lane, slot.step, request, response);
  }
  advance(lock);
}

void EnsembleRun::complete(std::unique_ptr<Request> request, Response response) noexcept {
  const auto self = shared_from_this();
  Lock lock(mutex_);
  const Ready slot = slots_[request->tag];
  free_slots_.push_back(request->tag);
  --num_outstanding_;
  --num_out_[slot.step];
  if (!limited_[slot.step].empty()) {
    ready_.push_back(limited_[slot.step].front());
    limited_[slot.step].pop_front();
  }
  const Timestamps& marks = request->timestamps;
  if (marks.compute_start_ns >= marks.queued_ns && marks.queued_ns != 0) {
    outcome_.queue_ns += marks.compute_start_ns - marks.queued_ns;
    // Who answers when the execution is over, a decoupled model that is, is at work until then.
    if (request->computed.total_ns() == 0) {
      outcome_.computed.infer_ns += clock_.now_ns() - marks.compute_start_ns;
    }
  }
  outcome_.computed.add(request->computed);
  Lane& lane = *slot.lane;
  if (!response.status.ok()) {
    fail(slot.step, response.status);
    lane.states[slot.step] = State::kDone;
    --lane.num_undone;
  } else if (request->window) {
    // A decoupled model: its last response goes on as the others do.
    if (!response.is_empty) {
      request->window->sent(response.size_bytes());
      spawn(lane, slot.step, *request, response);
    }
    exhaust(lane, slot.step);
  } else {
    settle(lane, slot.step, tensors_of(slot.step, response.outputs, *request->spec));
  }
  // Before the run can be over: memory of a GPU must be back when its model ends.
  request.reset();
  response = {};
  advance(lock);
}

std::vector<Tensor> EnsembleRun::tensors_of(std::size_t step, const std::vector<OutputTensor>& outputs,
                                            const ModelSpec& spec) const {
  const auto& links = plan_.steps[step].outputs;
  std::vector<Tensor> made(links.size());
  for (const OutputTensor& output : outputs) {
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (links[i].name == spec.outputs[output.index].name) made[i] = output.tensor;
    }
  }
  return made;
}

void EnsembleRun::settle(Lane& lane, std::size_t step, const std::vector<Tensor>& made) {
  if (lane.states[step] == State::kDone) return;
  lane.states[step] = State::kDone;
  --lane.num_undone;
  const auto& links = plan_.steps[step].outputs;
  for (std::size_t i = 0; i < made.size(); ++i) lane.tensors[links[i].tensor] = made[i];
  for (const std::size_t consumer : order_.consumers[step]) {
    const bool due = --lane.left[consumer] == 0 && lane.owned[consumer];
    if (due && lane.states[consumer] == State::kWaiting) {
      ready_.push_back({&lane, consumer});
    }
  }
  // Lanes that began in this one know of it too.
  for (Lane& other : lanes_) {
    if (other.parent == &lane) settle(other, step, made);
  }
}

void EnsembleRun::spawn(Lane& lane, std::size_t step, const Request& request, Response& response) {
  if (!failure_.ok()) {
    request.window->taken(response.size_bytes());
    return;
  }
  lane.spawns = true;
  const auto place =
      std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& each) { return &each == &lane; });
  Lane& next = *lanes_.insert(place, lane);
  next.parent = &lane;
  next.spawns = false;
  next.window = request.window;
  next.begun_bytes = response.size_bytes();
  next.owned.assign(plan_.steps.size(), false);
  for (const std::size_t each : order_.behind[step]) next.owned[each] = true;
  next.states[step] = State::kOut;
  settle(next, step, tensors_of(step, response.outputs, *request.spec));
}

void EnsembleRun::exhaust(Lane& lane, std::size_t step) {
  lane.spawns = true;  // without a response it has none of its own either
  const auto never = [&](std::size_t each) {
    if (lane.states[each] == State::kDone) return;
    lane.states[each] = State::kDone;
    --lane.num_undone;
  };
  never(step);
  for (const std::size_t each : order_.behind[step]) never(each);
}

void EnsembleRun::fail(std::optional<std::size_t> step, const Status& status) {
  if (!failure_.ok()) return;
  std::string where = "in ensemble '" + spec_->name + "', ";
  if (step) where += "step " + std::to_string(*step) + " ('" + plan_.steps[*step].model + "'): ";
  failure_ = {status.code(), where + status.message()};
  scope_.set.store(true, std::memory_order_relaxed);
  for (auto& waiting : limited_) waiting.clear();
}

bool EnsembleRun::is_skipped(const Lane& lane, const EnsemblePlan::Step& step) const {
  if (step.when) {
    const Tensor& tensor = lane.tensors[step.when->tensor];
    if (!tensor.present() || is_true(tensor) != step.when->expected) return true;
  }
  return std::ranges::any_of(step.inputs, [&](const EnsemblePlan::Link& input) {
    return !input.optional && !lane.tensors[input.tensor].present();
  });
}

void EnsembleRun::advance(Lock& lock) {
  if (scope_.cancelled()) fail({}, {Code::kCancelled, "Request was cancelled before it ran"});
  while (!ready_.empty()) {
    if (!failure_.ok()) {  // what has come since is of no use either
      ready_.clear();
      break;
    }
    const Ready next = ready_.front();
    ready_.pop_front();
    const EnsemblePlan::Step& step = plan_.steps[next.step];
    if (is_skipped(*next.lane, step)) {
      settle(*next.lane, next.step, {});
    } else if (plan_.max_inflight_requests != 0 && num_out_[next.step] >= plan_.max_inflight_requests) {
      limited_[next.step].push_back(next);
    } else {
      submit(next, lock);
    }
  }
  deliver(lock);
}

void EnsembleRun::submit(Ready ready, Lock& lock) {
  std::unique_ptr<Request> request = make_request(ready);
  ready.lane->states[ready.step] = State::kOut;
  drop_read(*ready.lane, plan_.steps[ready.step]);
  ++num_outstanding_;
  ++num_out_[ready.step];
  const std::size_t tag = request->tag;
  lock.unlock();
  const Status status = models_.submit(request);
  lock.lock();
  if (status.ok()) return;
  --num_outstanding_;
  --num_out_[ready.step];
  free_slots_.push_back(tag);
  ready.lane->states[ready.step] = State::kDone;
  --ready.lane->num_undone;
  fail(ready.step, status);
}

std::unique_ptr<Request> EnsembleRun::make_request(Ready ready) {
  const EnsemblePlan::Step& step = plan_.steps[ready.step];
  auto request = std::make_unique<Request>();
  request->model_name = step.model;
  request->model_version = step.version;
  request->id = request_->id;
  request->parameters = request_->parameters;
  request->sequence_id = request_->sequence_id;
  request->sequence_name = request_->sequence_name;
  request->sequence_start = request_->sequence_start;
  request->sequence_end = request_->sequence_end;
  request->priority = request_->priority;
  request->timeout_us = request_->timeout_us;
  request->deadline_ns = request_->deadline_ns;
  if (request_->trace) request->trace = request_->trace->spawn();
  for (const EnsemblePlan::Link& input : step.inputs) {
    const Tensor& tensor = ready.lane->tensors[input.tensor];
    if (tensor.present()) request->given_inputs.push_back({input.name, tensor});
  }
  for (const EnsemblePlan::Link& output : step.outputs) {
    request->wanted_outputs.push_back({output.name, 0, {}, {}, stays_on_gpu(output.tensor)});
  }
  request->scope = &scope_;
  request->call = request_->call;
  request->sink = this;
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  request->tag = free_slots_.back();
  free_slots_.pop_back();
  slots_[request->tag] = ready;
  return request;
}

bool EnsembleRun::stays_on_gpu(std::size_t tensor) const {
  if (!models_.reads_on_gpu || order_.on_host[tensor]) return false;
  return std::ranges::all_of(order_.readers[tensor], [&](const EnsembleOrder::Reader& reader) {
    return models_.reads_on_gpu(plan_.steps[reader.step].model, reader.input);
  });
}

void EnsembleRun::drop_read(Lane& lane, const EnsemblePlan::Step& step) {
  for (const EnsemblePlan::Link& input : step.inputs) {
    if (order_.on_host[input.tensor]) continue;
    const bool is_read = std::ranges::any_of(order_.readers[input.tensor], [&](const auto& reader) {
      return lane.states[reader.step] == State::kWaiting;
    });
    if (!is_read) lane.tensors[input.tensor] = {};
  }
}

// Gives the client what is its turn, and ends the run. One thread at a time: the others leave it to that one.
void EnsembleRun::deliver(Lock& lock) {
  if (delivering_) return;
  delivering_ = true;
  while (failure_.ok() && spec_->decoupled) {
    const auto lane =
        std::find_if(lanes_.begin(), lanes_.end(), [](const Lane& each) { return !each.spawns; });
    if (lane == lanes_.end() || lane->num_undone != 0) break;
    Response response = response_of(*lane);
    if (lane->window) unreleased_.emplace_back(lane->window, lane->begun_bytes);
    lanes_.erase(lane);
    request_->window->sent(response.size_bytes());
    CompletionSink* const sink = request_->sink;
    const Request& request = *request_;
    lock.unlock();
    sink->respond(request, std::move(response));
    release_windows();
    lock.lock();
  }
  delivering_ = false;
  if (num_outstanding_ == 0 && ready_.empty() && !over_) end(lock);
}

Response EnsembleRun::response_of(const Lane& lane) const {
  Response response;
  for (std::size_t i = 0; i < plan_.outputs.size(); ++i) {
    if (!request_->wanted[i]) continue;
    const Tensor& tensor = lane.tensors[plan_.outputs[i]];
    if (tensor.present()) {
      response.outputs.push_back({i, tensor});
    } else if (!request_->wanted_outputs.empty()) {
      response.status = {Code::kInvalidArgument, "in ensemble '" + spec_->name + "', output '" +
                                                     spec_->outputs[i].name +
                                                     "' was not made: the step that makes it was skipped"};
      response.outputs.clear();
      break;
    }
  }
  return response;
}

void EnsembleRun::release_windows() {
  std::vector<std::pair<std::shared_ptr<ResponseWindow>, std::size_t>> released;
  {
    const Lock lock(mutex_);
    if (request_ && request_->window->is_full()) return;
    released.swap(unreleased_);
  }
  for (const auto& [window, size_bytes] : released) window->taken(size_bytes);
}

void EnsembleRun::end(Lock& lock) {
  over_ = true;
  Response response;
  if (!failure_.ok()) {
    response.status = failure_;
  } else if (spec_->decoupled) {
    response.is_empty = true;
  } else {
    response = response_of(lanes_.front());
  }
  for (const Lane& lane : lanes_) {
    if (lane.window) unreleased_.emplace_back(lane.window, lane.begun_bytes);
  }
  lanes_.clear();
  self_.reset();  // whoever called has a share
  auto released = std::exchange(unreleased_, {});
  outcome_.status = response.status;
  std::unique_ptr<Request> request = std::move(request_);
  outcome_.trace = request->trace.get();
  request->computed = outcome_.computed;
  scope_.client = nullptr;
  lock.unlock();
  for (const auto& [window, size_bytes] : released) window->taken(size_bytes);
  ended_(outcome_);
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
  lock.lock();
}

}  // namespace naiad
