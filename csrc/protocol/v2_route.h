#pragma once

#include <string>
#include <string_view>

namespace naiad {

// What an HTTP target asks for, as far as the data plane cares.
struct V2Route {
  enum class Endpoint : unsigned char {
    kControl,  // everything that is not inference, paths that do not exist included
    kInfer,
    kGenerate,
    kGenerateStream,
  };
  Endpoint endpoint = Endpoint::kControl;
  std::string_view model;    // as it stands in the path; "" for kControl
  std::string_view version;  // digits; "" where the path has none
};

// The route of a request target (a path and perhaps a query). The method is not looked at: only POST is
// inference. Pure; any thread.
V2Route find_v2_route(std::string_view target);

// Takes what stands before the next slash off the front of `path`; the slash stays. Any thread.
std::string_view take_segment(std::string_view& path);

// Whether a segment of a path names a version: by its number, or by a label. Any thread.
bool is_version(std::string_view text);

// A segment of a path with %XX resolved, as Python's urllib.parse.unquote does it: what is no escape stays,
// what is not UTF-8 becomes U+FFFD. Any thread.
std::string percent_decoded(std::string_view segment);

}  // namespace naiad
