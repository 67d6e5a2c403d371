#pragma once

#include <string>
#include <utility>

#include "io/model_answer.h"
#include "protocol/text_events.h"

namespace naiad {

// The answer to a request that the control plane has read and handed over: the text of a language model as
// the events of a frame. What fails before the first event is an answer of its own, and an event later.
class TextAnswer final : public ModelAnswer {
 public:
  TextAnswer(TextFrame frame, const AnswerFraming& framing)
      : ModelAnswer(framing), events_(std::move(frame)) {}

  std::string respond(const Request& request, const Response& response) override;
  std::string finish(const Request& request, const Response& response) override;

 private:
  std::string send(std::string_view events);
  std::string fail(const Status& status);

  TextEvents events_;
  Status failure_;
};

}  // namespace naiad
