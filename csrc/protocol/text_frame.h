#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace naiad {

// What stands around the text of one streamed answer, as python/naiad/openai/text_stream.py writes it: the
// pieces of server-sent events that the text, the reason of its end and the counts of tokens go between.
struct TextFrame {
  std::string model;
  std::string opening;  // whole events before the first one with text; or nothing
  std::string before_text;
  std::string after_text;
  // The last event. Not `ends_with_text`: what there is of text then goes before it as an event of its own.
  bool ends_with_text = false;
  std::string before_end_text;
  std::string before_reason;
  std::string after_reason;
  // The event that tells of tokens; both empty: there is none.
  std::string before_usage;
  std::string after_usage;
  std::string closing;     // behind the last event
  bool has_empty = false;  // a response without text is an event too: a token that shows nothing yet
};

// Reads one as a JSON object of these members, with limits of its own. kInternal for anything else: it comes
// from the control plane. Any thread.
Status read_text_frame(std::string_view json, TextFrame& frame);

}  // namespace naiad
