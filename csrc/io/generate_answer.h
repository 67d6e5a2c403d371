#pragma once

#include <cstddef>
#include <string>

#include "io/http_answer.h"
#include "request/request.h"

namespace naiad {

// The answer to a generate or generate_stream request, as its responses come: one JSON object, or an event
// for each. I/O thread.
class GenerateAnswer {
 public:
  GenerateAnswer(bool streams, const AnswerFraming& framing) : streams_(streams), framing_(framing) {}

  // What is to be sent for a response (perhaps nothing yet).
  std::string respond(const Request& request, const Response& response);
  // And for the last one, which may be an end alone.
  std::string finish(const Request& request, const Response& response);
  // The connection will not be used again, whatever the client would like.
  void refuse_keep_alive() { framing_.keep_alive = false; }
  // Whether the connection can be used again, once finished.
  bool keep_alive() const { return framing_.keep_alive; }
  // The status that it was given, once finished.
  int http_status() const { return http_status_; }

 private:
  // The head of an event stream, under the status of its first response.
  void begin(std::string& text, const Status& status);
  void add_event(std::string& text, const Request& request, const Response& response);

  const bool streams_;
  AnswerFraming framing_;
  bool begun_ = false;
  std::size_t num_responses_ = 0;
  int http_status_ = 200;
  Status status_;     // of the one response that is not streamed
  std::string body_;  // of that
};

}  // namespace naiad
