#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "request/request.h"
#include "request/response_window.h"

namespace naiad {

// Responses that are queued for a client which is behind: the models that gave them are told when they have
// gone, or when the client has. I/O thread.
class UnsentResponses {
 public:
  UnsentResponses() = default;
  ~UnsentResponses() { gone(); }
  UnsentResponses(const UnsentResponses&) = delete;
  UnsentResponses& operator=(const UnsentResponses&) = delete;

  // `behind`: the client has not taken what was sent before.
  void add(const Request& request, std::size_t size_bytes, bool behind) {
    if (behind) {
      waiting_.emplace_back(request.window, size_bytes);
    } else {
      request.window->taken(size_bytes);
    }
  }
  void gone() {
    for (const auto& [window, size_bytes] : std::exchange(waiting_, {})) window->taken(size_bytes);
  }

 private:
  std::vector<std::pair<std::shared_ptr<ResponseWindow>, std::size_t>> waiting_;
};

}  // namespace naiad
