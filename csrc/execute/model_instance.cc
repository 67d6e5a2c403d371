#include "execute/model_instance.h"

#include <utility>

#include "base/thread.h"

namespace naiad {
namespace {

// Runs the batch; whatever the backend throws fails the requests that it has not answered.
void execute(Backend& backend, Execution& execution) {
  try {
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

}  // namespace

ModelInstance::ModelInstance(InstanceSpec spec, BackendFactory factory, DynamicScheduler& scheduler,
                             const Clock& clock, InstanceObserver& observer)
    : spec_(std::move(spec)), scheduler_(scheduler), clock_(clock), observer_(observer) {
  thread_ = start_thread(spec_.name, [this, factory = std::move(factory)] { run(factory); });
}

void ModelInstance::run(const BackendFactory& factory) {
  std::unique_ptr<Backend> backend;
  try {
    backend = factory(spec_);
  } catch (...) {
    loaded_.set_exception(std::current_exception());
    return;
  }
  loaded_.set_value();
  serve(*backend);
}

void ModelInstance::serve(Backend& backend) {
  while (auto batch = scheduler_.next()) {
    for (DroppedRequest& dropped : batch->dropped) {
      observer_.dropped(dropped);
      CompletionSink* sink = dropped.request->sink;
      sink->complete(std::move(dropped.request), Response{std::move(dropped.status), {}, {}});
    }
    if (batch->requests.empty()) continue;
    Execution execution(spec_.model, std::move(batch->requests), spec_.pool, clock_);
    execute(backend, execution);
    observer_.ran(execution);
    execution.complete();
  }
}

}  // namespace naiad
