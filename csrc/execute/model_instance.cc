#include "execute/model_instance.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/thread.h"
#include "execute/warmup.h"

namespace naiad {
namespace {

constexpr std::chrono::milliseconds kLookAgain{5};

// Runs the batch; whatever the backend throws fails the requests that it has not answered.
void execute(Backend& backend, Execution& execution, Gpus* gpus) {
  try {
    if (!backend.takes_gpu_inputs()) execution.fetch_inputs(gpus);
    backend.execute(execution);
    return;
  } catch (const Error& error) {
    execution.fail_all(error.status());
  } catch (const std::bad_alloc&) {
    execution.fail_all({Code::kUnavailable, "the backend ran out of memory"});
  } catch (const std::exception& error) {
    execution.fail_all({Code::kInternal, error.what()});
  }
}

BatchTimes times_of(const Execution& execution) {
  BatchTimes times{execution.num_rows(), 0, execution.end_ns() - execution.start_ns(), execution.end_ns()};
  for (std::size_t k = 0; k < execution.num_requests(); ++k) {
    times.queue_ns = std::max(times.queue_ns, execution.start_ns() - execution.counted(k).queued_ns);
  }
  return times;
}

std::size_t input_bytes(const Request& request) {
  std::size_t size_bytes = 0;
  for (const Tensor& input : request.inputs) size_bytes += input.size_bytes;
  return size_bytes;
}

}  // namespace

ModelInstance::ModelInstance(InstanceSpec spec, std::shared_ptr<const ModelSpec> model,
                             BackendFactory factory, Scheduler& scheduler, const Clock& clock,
                             InstanceObserver& observer)
    : spec_(watched(std::move(spec))), scheduler_(scheduler), clock_(clock), observer_(observer) {
  if (spec_.limiter != nullptr && !spec_.needs.empty()) member_ = spec_.limiter->join(spec_.needs);
  thread_ = start_thread(spec_.name, [this, factory = std::move(factory), model = std::move(model)] {
    load_and_serve(factory, model);
  });
}

InstanceSpec ModelInstance::watched(InstanceSpec spec) {
  if (!spec.passive) {
    spec.on_unhealthy = [this, index = spec.index] { scheduler_.call_away(index); };
  }
  spec.on_gpu = [this]() -> const DevicePlace& { return open_lane(); };
  return spec;
}

void ModelInstance::load_and_serve(const BackendFactory& factory,
                                   const std::shared_ptr<const ModelSpec>& model) {
  try {
    take_place(spec_.place);
    load(factory, model);
  } catch (...) {
    unload();
    end_of_service_.set_value();
    loaded_.set_exception(std::current_exception());
    return;
  }
  show(backend_.get());
  loaded_.set_value();
  if (spec_.passive) {
    end_.get_future().wait();
  } else if (backend_->on_device() != nullptr) {
    while (serve_on_device() && load_again(factory, model)) {
    }
  } else {
    serve();
  }
  if (lane_) lane_->end();
  end_of_service_.set_value();
  unload();
}

void ModelInstance::load(const BackendFactory& factory, const std::shared_ptr<const ModelSpec>& model) {
  backend_ = factory(spec_);
  DeviceBackend* const on_device = backend_->on_device();
  if (on_device != nullptr) open_lane();
  reads_on_gpu_.store(on_device != nullptr || backend_->takes_gpu_inputs(), std::memory_order_relaxed);
  warm_up(model, spec_.pool, clock_, [&](Execution& execution) {
    if (on_device != nullptr) {
      lane_->run_alone(*on_device, execution);
    } else {
      backend_->execute(execution);
    }
  });
  if (on_device != nullptr) begin_on_device(*on_device);
}

void ModelInstance::unload() {
  show(nullptr);
  if (lane_) lane_->end();
  {
    const std::lock_guard lock(busy_);
    backend_.reset();
  }
  lane_.reset();
}

void ModelInstance::show(const Backend* backend) {
  const std::lock_guard lock(shown_mutex_);
  shown_ = backend;
}

bool ModelInstance::is_healthy() const {
  const std::lock_guard lock(shown_mutex_);
  return !spec_.passive && shown_ != nullptr && shown_->is_healthy() &&
         !device_failed_.load(std::memory_order_relaxed);
}

int ModelInstance::process_id() const {
  const std::lock_guard lock(shown_mutex_);
  return shown_ != nullptr ? shown_->process_id() : 0;
}

void ModelInstance::leave_to_others() {
  while (!backend_->is_healthy() && observer_.is_healthy() && !retired_.load(std::memory_order_relaxed)) {
    std::this_thread::sleep_for(kLookAgain);
  }
}

std::optional<std::vector<std::unique_ptr<Request>>> ModelInstance::take() {
  auto batch = scheduler_.next(spec_.index);
  if (!batch) return std::nullopt;
  for (DroppedRequest& dropped : batch->dropped) {
    observer_.dropped(dropped);
    CompletionSink* sink = dropped.request->sink;
    sink->complete(std::move(dropped.request), Response{std::move(dropped.status), {}, {}});
  }
  return std::move(batch->requests);
}

void ModelInstance::serve() {
  for (;;) {
    leave_to_others();
    if (retired_.load(std::memory_order_seq_cst)) return;
    auto requests = take();
    if (!requests) return;
    if (requests->empty()) continue;
    const RateLimiter::Turn turn(member_.get());
    const std::lock_guard lock(busy_);
    scheduler_.begun();
    run(std::move(*requests));
  }
}

bool ModelInstance::try_run_here(std::unique_ptr<Request>& request, std::uint64_t limit_ns) {
  if (spec_.passive || member_ != nullptr) return false;  // its turn may have to be waited for
  if (!spec_.place.is_anywhere()) return false;           // nor would it run where it is to
  if (cost_.expected_ns(input_bytes(*request)) > limit_ns) return false;
  // A step of an ensemble may follow another one of the same model, on the thread that still runs that.
  if (runner_.load(std::memory_order_relaxed) == std::this_thread::get_id()) return false;
  const std::unique_lock lock(busy_, std::try_to_lock);
  if (!lock || backend_ == nullptr || !backend_->runs_on_any_thread()) return false;
  std::vector<std::unique_ptr<Request>> requests;
  requests.push_back(std::move(request));
  run(std::move(requests));
  return true;
}

void ModelInstance::run(std::vector<std::unique_ptr<Request>> requests) {
  std::size_t size_bytes = 0;
  for (const auto& request : requests) size_bytes += input_bytes(*request);
  runner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  Execution execution(spec_.model, std::move(requests), spec_.pool, clock_, spec_.responses);
  execute(*backend_, execution, spec_.gpus);
  cost_.record(size_bytes, count(execution));
  execution.complete();
  runner_.store({}, std::memory_order_relaxed);
}

std::uint64_t ModelInstance::count(Execution& execution) {
  execution.ended(clock_.now_ns());
  const BatchTimes times = times_of(execution);
  // Two batches that were under way together have kept it busy once.
  const std::uint64_t since_ns = std::max(execution.start_ns(), busy_until_ns_);
  busy_until_ns_ = times.end_ns;
  busy_ns_.store(busy_ns_.load(std::memory_order_relaxed) + times.end_ns - std::min(since_ns, times.end_ns),
                 std::memory_order_relaxed);
  scheduler_.ran(times);
  observer_.ran(execution);
  return times.compute_ns;
}

}  // namespace naiad
