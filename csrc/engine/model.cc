#include "engine/model.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "engine/admission.h"
#include "engine/split_run.h"
#include "engine/wall_clock.h"
#include "execute/device_batch.h"
#include "request/trace.h"
#include "schedule/make_scheduler.h"

namespace naiad {
namespace {

FailureReason reason_of(Code code) {
  return code == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kBackend;
}

void trace(const Execution& execution) {
  for (std::size_t k = 0; k < execution.num_requests(); ++k) {
    Trace* const trace = execution.trace(k);
    if (trace == nullptr) continue;
    trace->mark(TraceMark::kComputeStart, execution.start_ns());
    trace->mark(TraceMark::kComputeInputEnd, execution.inputs_ready_ns());
    trace->mark(TraceMark::kComputeOutputStart, execution.outputs_ready_ns());
    trace->mark(TraceMark::kComputeEnd, execution.end_ns());
  }
}

std::size_t num_active(const std::vector<InstancePlan>& instances) {
  return static_cast<std::size_t>(std::ranges::count(instances, false, &InstancePlan::passive));
}

// Answers of another process are of a model that is the same, not of the same load of it.
std::string mark_of(const ModelSpec& spec, const ResponseCache* cache) {
  static std::atomic<std::uint64_t> last{0};  // pairs with nothing: each value is given once
  const bool is_known = cache != nullptr && cache->has_store() && !spec.content.empty();
  if (!is_known) return "load " + std::to_string(++last);
  return spec.name + "/" + std::to_string(spec.version) + " " + spec.content;
}

Status named(const Request& request, const Status& status) {
  if (status.code() == Code::kUnsupported) return status;  // of the way that it came, not of the request
  const std::string id = request.id.empty() ? "<id_unknown>" : request.id;
  return {status.code(), "[request id: " + id + "] " + status.message()};
}

// Has an owner of its own, whose count is that of the requests.
std::shared_ptr<const ModelSpec> lend(const std::shared_ptr<const ModelSpec>& spec) {
  const auto owner = std::make_shared<const std::shared_ptr<const ModelSpec>>(spec);
  return {owner, spec.get()};
}

std::shared_ptr<Statistics> statistics_of(const ModelSpec& spec) {
  return std::make_shared<Statistics>(spec.first_response_buckets_ms, spec.summaries);
}

}  // namespace

Model::Model(ModelSpec spec, const BackendFactory& factory, const std::vector<InstancePlan>& instances,
             TensorPool& pool, const Clock& clock, std::uint64_t inline_limit_ns, ModelNeighbours shared)
    : spec_(std::make_shared<const ModelSpec>(std::move(spec))),
      lent_(lend(spec_)),
      clock_(clock),
      pool_(&pool),
      statistics_(statistics_of(*spec_)),
      scheduler_(make_scheduler(*spec_, clock, num_active(instances))),
      inline_limit_ns_(inline_limit_ns),
      cache_(spec_->cached ? shared.cache : nullptr),
      mark_(mark_of(*spec_, cache_)),
      shared_(shared),
      responses_(std::make_shared<CountedResponses>(statistics_, clock)) {
  std::size_t next_index = 0;
  std::unique_lock lock(seats_mutex_);
  for (const InstancePlan& plan : instances) {
    seats_.push_back(make_seat(plan, plan.passive ? 0 : next_index++, factory));
  }
  lock.unlock();
  try {
    for (const Seat& seat : seats_) seat.instance->wait_loaded();
  } catch (...) {
    stop(false);
    throw;
  }
}

Model::Model(ModelSpec spec, EnsemblePlan plan, EnsembleRun::Models models, const Clock& clock,
             ResponseCache* cache)
    : spec_(std::make_shared<const ModelSpec>(std::move(spec))),
      lent_(lend(spec_)),
      clock_(clock),
      pool_(nullptr),
      statistics_(statistics_of(*spec_)),
      scheduler_(std::make_unique<EnsembleScheduler>(*spec_, std::move(plan), std::move(models), clock,
                                                     statistics_)),
      plan_(&static_cast<const EnsembleScheduler&>(*scheduler_).plan()),
      inline_limit_ns_(0),
      cache_(spec_->cached ? cache : nullptr),
      mark_(mark_of(*spec_, cache_)) {}

Model::~Model() {
  stop(false);
}

Status Model::submit(std::unique_ptr<Request>& request) {
  Status status = admit(lent_, *request);
  if (status.ok()) {
    // These look at the bytes of outputs, or keep them.
    const bool is_noted = request->trace && request->trace->notes_tensors();
    if (cache_ != nullptr || spec_->sequence || spec_->decoupled || is_noted) request->stays_on_gpu.clear();
    if (request->trace) request->trace->enter(*request);
    if (cache_ != nullptr && try_answer_from_cache(request)) return status;
    status = queue_or_refuse(request);
    if (!status.ok() && request->trace) request->trace->leave(*request);
    return status;
  }
  return named(*request, status);
}

Status Model::queue_or_refuse(std::unique_ptr<Request>& request) {
  Status status = queue(request);
  if (status.ok()) return status;
  if (cache_ != nullptr) request->pass_on();
  if (status.code() == Code::kInvalidArgument) return status;  // no sequence of its own
  const std::uint64_t spent_ns = clock_.now_ns() - request->timestamps.received_ns;
  statistics_->record([&](StatisticsValues& values) {
    values.fail.add(1, spent_ns);
    ++values.failures[static_cast<std::size_t>(FailureReason::kRejected)];
  });
  return named(*request, status);
}

Status Model::queue(std::unique_ptr<Request>& request) {
  if (request->num_rows > spec_->max_batch_size && spec_->splits_oversize) {
    return SplitRun::start(request, *scheduler_, {*pool_, clock_, statistics_});
  }
  if (try_run_here(request)) return {};
  return scheduler_->try_submit(request);
}

bool Model::try_answer_from_cache(std::unique_ptr<Request>& request) {
  const std::uint64_t start_ns = clock_.now_ns();
  const Digest128 key = cache_->key_of(*request, mark_);
  if (std::optional<Response> response = cache_->find(key)) {
    answer_from_cache(std::move(request), std::move(*response), start_ns);
    return true;
  }
  request->cache_key = key;
  if (!cache_->has_store()) {
    missed_in_cache(*request, start_ns);
    return false;
  }
  // A callback that can be copied, with a request that cannot.
  const auto held = std::make_shared<std::unique_ptr<Request>>(std::move(request));
  pin();
  const bool looks = cache_->look_up(key, spec_, [this, held, start_ns](std::optional<Response> response) {
    looked_up(std::move(*held), std::move(response), start_ns);
  });
  if (looks) return true;
  unpin();
  request = std::move(*held);
  missed_in_cache(*request, start_ns);
  return false;
}

void Model::answer_from_cache(std::unique_ptr<Request> request, Response response,
                              std::uint64_t looked_since_ns) {
  const std::uint64_t end_ns = clock_.now_ns();
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    const std::uint64_t spent_ns = end_ns - request->timestamps.received_ns;
    values.success.add(1, spent_ns);
    values.queue.add(1, 0);
    values.cache_hit.add(1, end_ns - looked_since_ns);
    distributions.add_answer(spent_ns, end_ns, request->trace.get());
    distributions.add_queue(0, end_ns, request->trace.get());
    distributions.summarize(Summary::kCacheHit, end_ns - looked_since_ns, end_ns);
  });
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
}

void Model::missed_in_cache(Request& request, std::uint64_t looked_since_ns) {
  const std::uint64_t now_ns = clock_.now_ns();
  const std::uint64_t spent_ns = now_ns - looked_since_ns;
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    values.cache_miss.add(1, spent_ns);
    distributions.summarize(Summary::kCacheMiss, spent_ns, now_ns);
  });
  request.pass_by(this);
}

void Model::looked_up(std::unique_ptr<Request> request, std::optional<Response> response,
                      std::uint64_t looked_since_ns) {
  if (response) {
    answer_from_cache(std::move(request), std::move(*response), looked_since_ns);
  } else {
    missed_in_cache(*request, looked_since_ns);
    Status status = queue_or_refuse(request);
    if (!status.ok()) {
      CompletionSink* const sink = request->sink;
      sink->complete(std::move(request), Response{std::move(status), {}, {}});
    }
  }
  unpin();  // last: who waits for that may let go of the model
}

void Model::respond(const Request& request, Response response) noexcept {
  request.after(*this).respond(request, std::move(response));
}

void Model::complete(std::unique_ptr<Request> request, Response response) noexcept {
  request->pass_on();
  if (response.status.ok()) {
    const std::uint64_t start_ns = clock_.now_ns();
    cache_->insert(request->cache_key, response);
    const std::uint64_t spent_ns = clock_.now_ns() - start_ns;
    statistics_->record([&](StatisticsValues& values) {
      values.cache_miss.total_ns += spent_ns;
      values.cache_insertion.add(1, spent_ns);
    });
  }
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
}

bool Model::try_run_here(std::unique_ptr<Request>& request) {
  if (inline_limit_ns_ == 0 || request->is_cancelled()) return false;
  if (!scheduler_->takes_at_once()) return false;
  const std::shared_lock lock(seats_mutex_, std::try_to_lock);
  if (!lock) return false;
  request->timestamps.queued_ns = clock_.now_ns();
  if (request->deadline_ns != 0 && request->timestamps.queued_ns >= request->deadline_ns) return false;
  for (const Seat& seat : seats_) {
    if (seat.instance->try_run_here(request, inline_limit_ns_)) return true;
  }
  return false;
}

bool Model::is_healthy() {
  if (plan_ != nullptr) return true;  // its steps are models of their own
  // Held alone while instances begin or end: one that asks then is among them.
  const std::shared_lock lock(seats_mutex_, std::try_to_lock);
  return lock.owns_lock() &&
         std::ranges::any_of(seats_, [](const Seat& seat) { return seat.instance->is_healthy(); });
}

bool Model::reads_on_gpu(std::string_view input) {
  if (plan_ != nullptr || cache_ != nullptr || spec_->sequence || spec_->decoupled) return false;
  const auto index = spec_->input_index(input);
  if (!index || stays_on_host(spec_->inputs[*index]) || spec_->inputs[*index].ragged) return false;
  const std::shared_lock lock(seats_mutex_, std::try_to_lock);
  const auto reads = [](const Seat& seat) {
    return seat.instance->is_passive() || seat.instance->reads_on_gpu();
  };
  return lock.owns_lock() && !seats_.empty() && std::ranges::all_of(seats_, reads);
}

std::vector<Model::InstanceUse> Model::instance_use() {
  std::vector<InstanceUse> use;
  const std::shared_lock lock(seats_mutex_, std::try_to_lock);
  if (!lock) return use;  // while they begin or end
  for (const Seat& seat : seats_) {
    use.push_back({seat.instance->name(), seat.instance->busy_ns(), seat.instance->process_id()});
  }
  return use;
}

bool Model::sweep() {
  std::vector<DroppedRequest> gone;
  // Who is looked up is queued soon, perhaps with a time of its own.
  const bool again = scheduler_->sweep(gone) || (cache_ != nullptr && pinned());
  for (DroppedRequest& each : gone) {
    dropped(each);
    CompletionSink* const sink = each.request->sink;
    sink->complete(std::move(each.request), Response{std::move(each.status), {}, {}});
  }
  return again;
}

void Model::wait_unpinned() const {
  constexpr int kTurns = 1000;  // submissions are short; look-ups may take their time
  for (int turn = 0; pinned(); ++turn) {
    if (turn < kTurns) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
}

void Model::stop(bool drain) {
  if (drain) wait_unpinned();
  scheduler_->close(drain);
  wait_unpinned();
  scheduler_->wait_ended();
  const std::unique_lock lock(seats_mutex_);
  seats_.clear();
}

void Model::ran(const Execution& execution) {
  const std::uint64_t end_ns = execution.end_ns();
  const std::uint64_t now_ms = wall_clock_ms();
  trace(execution);
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    std::uint64_t num_ok = 0;
    std::uint32_t num_rows_ok = 0;
    const Trace* traced = nullptr;
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      const Execution::Counted request = execution.counted(k);
      if (request.is_filler) continue;
      const Status& status = execution.response(k).status;
      const std::uint64_t spent_ns = end_ns - request.received_ns;
      if (!status.ok()) {
        if (request.is_part) continue;
        values.fail.add(1, spent_ns);
        ++values.failures[static_cast<std::size_t>(reason_of(status.code()))];
        continue;
      }
      const Trace* const trace = execution.trace(k);
      if (trace != nullptr) traced = trace;
      ++num_ok;
      num_rows_ok += request.num_rows;
      // A kept one is counted as a success or failure when it has its last response.
      const bool is_answered = !execution.kept(k) && !execution.response(k).reschedule;
      if (is_answered && !request.is_part) {
        values.success.add(1, spent_ns);
        distributions.add_answer(spent_ns, end_ns, trace);
      }
      values.queue.add(1, execution.start_ns() - request.queued_ns);
      distributions.add_queue(execution.start_ns() - request.queued_ns, end_ns, trace);
    }
    if (num_ok == 0) return;
    values.last_inference_ms = now_ms;
    values.last_used_ns = end_ns;
    values.inference_count += num_rows_ok;
    ++values.execution_count;
    add_execution(values, distributions, execution.num_rows(), num_ok, execution.times(), end_ns, traced);
  });
}

void Model::dropped(const DroppedRequest& dropped) {
  if (dropped.request->is_part) return;
  const std::uint64_t spent_ns = clock_.now_ns() - dropped.request->timestamps.received_ns;
  const FailureReason reason =
      dropped.status.code() == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kRejected;
  statistics_->record([&](StatisticsValues& values) {
    values.fail.add(1, spent_ns);
    ++values.failures[static_cast<std::size_t>(reason)];
  });
}

}  // namespace naiad
