#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace naiad {

// The HTTP status under which a failure is answered, as Triton gives them (its clients know no 409 and no
// 499); 200 for kOk. Any thread.
int http_status_of(Code code);

// Appends {"error":"<message>"}. What of the message is not UTF-8 becomes U+FFFD: an answer is always JSON.
// Any thread.
void append_error_body(std::string& text, std::string_view message);

// The same for OpenAI's clients: as http_status_of, but 429 for a queue that is full. Any thread.
int openai_status_of(const Status& status);

// As they read it: {"error":{"message","type","param":null,"code"}}. Any thread.
void append_openai_error_body(std::string& text, int status, std::string_view message);

}  // namespace naiad
