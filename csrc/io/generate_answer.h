#pragma once

#include <cstddef>
#include <string>

#include "io/model_answer.h"
#include "request/request.h"

namespace naiad {

// The answer to a generate or generate_stream request: one JSON object, or an event for each response.
class GenerateAnswer final : public ModelAnswer {
 public:
  GenerateAnswer(bool streams, const AnswerFraming& framing) : ModelAnswer(framing), streams_(streams) {}

  std::string respond(const Request& request, const Response& response) override;
  std::string finish(const Request& request, const Response& response) override;

 private:
  // The stream is under the status of its first response.
  void add_event(std::string& text, const Request& request, const Response& response);

  const bool streams_;
  std::size_t num_responses_ = 0;
  Status status_;     // of the one response that is not streamed
  std::string body_;  // of that
};

}  // namespace naiad
