#pragma once

#include <memory>

#include "engine/statistics.h"
#include "execute/response_sender.h"

namespace naiad {

// Counts the responses of requests that a model has kept, and the requests when they have their last one.
// Lives as long as a sender does. Any thread.
class CountedResponses final : public ResponseObserver {
 public:
  CountedResponses(std::shared_ptr<Statistics> statistics, const Clock& clock)
      : statistics_(std::move(statistics)), clock_(clock) {}

  void responded(const Given& given) override;

 private:
  const std::shared_ptr<Statistics> statistics_;
  const Clock& clock_;
};

}  // namespace naiad
