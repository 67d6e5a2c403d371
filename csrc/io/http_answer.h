#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/stream.h"
#include "protocol/content_coding.h"
#include "protocol/http1.h"
#include "request/request.h"

namespace naiad {

// What an answer has to know of the request that it answers.
struct AnswerFraming {
  bool keep_alive = true;
  int minor_version = 1;
  bool head_request = false;
  bool openai_errors = false;  // in the form that OpenAI's clients read
};

// {"error": message}, in the form of the request's API, under `status`; `hint` is one more field, Retry-After
// of a 503 without one. Any thread.
Outgoing make_error_answer(int status, std::string_view message, const AnswerFraming& framing,
                           std::optional<Http1Field> hint = {});

// The answer to an inference request, whole or why not. Takes `request` and `response` along where the bytes
// of tensors are sent from where they lie. Any thread.
Status make_infer_answer(std::unique_ptr<Request> request, Response response, ContentCoding coding,
                         const AnswerFraming& framing, Outgoing& outgoing);

}  // namespace naiad
