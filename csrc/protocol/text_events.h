#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "protocol/text_frame.h"
#include "request/request.h"

namespace naiad {

// The answer of a language model as server-sent events: each response's `text_output` within a frame, the
// reason that `finish_reason` names at the end. What Triton's vLLM backend writes for an answer that goes on
// ("", "None", "null") is no reason; a model that names none has stopped. One thread.
class TextEvents {
 public:
  explicit TextEvents(TextFrame frame) : frame_(std::move(frame)) {}

  // Appends the events of a response; nothing when it has nothing to show. Its failure, or what cannot be
  // read of it, is given back, and nothing appended.
  Status add(std::string& text, const Request& request, const Response& response);
  // Behind the last response: appends what has not been said of the end. kInternal when there was no text.
  Status finish(std::string& text);
  const std::string& closing() const { return frame_.closing; }

 private:
  void open(std::string& text);
  void add_text(std::string& text, std::string_view words) const;
  void end(std::string& text, std::string_view words, std::string_view reason);
  Status count(const ModelSpec& spec, const Response& response);

  const TextFrame frame_;
  bool answered_ = false;  // a response had a text, even an empty one
  bool opened_ = false;
  bool ended_ = false;
  std::uint64_t num_read_ = 0;  // tokens
  std::uint64_t num_written_ = 0;
};

}  // namespace naiad
