#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/http_answer.h"
#include "request/request.h"

namespace naiad {

// The answer to a request that a model may answer many times, as its responses come. I/O thread.
class ModelAnswer {
 public:
  virtual ~ModelAnswer() = default;
  ModelAnswer(const ModelAnswer&) = delete;
  ModelAnswer& operator=(const ModelAnswer&) = delete;

  // What is to be sent for a response (perhaps nothing yet).
  virtual std::string respond(const Request& request, const Response& response) = 0;
  // And for the last one, which may be an end alone.
  virtual std::string finish(const Request& request, const Response& response) = 0;
  // The connection will not be used again, whatever the client would like.
  void refuse_keep_alive() { framing_.keep_alive = false; }
  // Whether the connection can be used again, once finished.
  bool keep_alive() const { return framing_.keep_alive; }
  // The status that it was given, once finished.
  int http_status() const { return http_status_; }

 protected:
  explicit ModelAnswer(const AnswerFraming& framing) : framing_(framing) {}

  // Whether an event stream has begun.
  bool begun() const { return begun_; }
  // Appends the head of an event stream under `status`; `hint`: one more field.
  void begin_events(std::string& text, int status, std::optional<Http1Field> hint = {});
  // Appends events as they go to the client.
  void add_events(std::string& text, std::string_view events) const;
  void end_events(std::string& text) const;
  // The whole answer is this failure.
  std::string failure(int status, std::string_view message);

  AnswerFraming framing_;
  int http_status_ = 200;

 private:
  bool begun_ = false;
};

}  // namespace naiad
