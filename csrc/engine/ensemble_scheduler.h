#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "engine/ensemble_run.h"
#include "engine/statistics.h"
#include "schedule/scheduler.h"

namespace naiad {

// The scheduler of an ensemble, which has no instances: a request begins its run when it comes.
class EnsembleScheduler final : public Scheduler {
 public:
  // `model` and `clock` outlive it; so does whatever `models` work with.
  EnsembleScheduler(const ModelSpec& model, EnsemblePlan plan, EnsembleRun::Models models, const Clock& clock,
                    std::shared_ptr<Statistics> statistics);

  // Any thread. Runs short steps on it.
  Status try_submit(std::unique_ptr<Request>& request) override;
  std::optional<Batch> next(std::size_t /*instance*/) override { return std::nullopt; }
  void call_away(std::size_t /*instance*/) override {}
  // What is under way is finished in either case: it belongs to the models of its steps.
  void close(bool drain) override;
  void wait_ended() override;
  std::size_t num_waiting() const override { return 0; }
  const EnsemblePlan& plan() const { return plan_; }

 private:
  void ended(const EnsembleRun::Outcome& outcome);

  const ModelSpec& model_;
  const EnsemblePlan plan_;
  const EnsembleOrder order_;
  const EnsembleRun::Models models_;
  const Clock& clock_;
  const std::shared_ptr<Statistics> statistics_;

  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t num_running_ = 0;
  bool closed_ = false;
};

}  // namespace naiad
