#pragma once

#include <string>
#include <vector>

namespace naiad {

// What a client may send, ambiguous as it may be, and the one thing that it means here (see Http1Transcript).
struct Http1Case {
  std::string name;
  std::string bytes;
  std::string expected;
};

// What can be said of one head or of a chunked body; every request that is refused is followed by another
// one, which must not be read.
std::vector<Http1Case> http1_cases();

}  // namespace naiad
