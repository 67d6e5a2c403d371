#pragma once

#include <cstddef>
#include <forward_list>
#include <string>
#include <utility>

namespace naiad {

// Strings that views may point into: none of them ever moves. Allocates nothing while it is empty (a deque
// would), which is the ordinary case of a request.
class TextStore {
 public:
  // Keeps a new string and gives it. Not thread-safe.
  template <class... Arguments>
  std::string& emplace_back(Arguments&&... arguments) {
    ++size_;
    return strings_.emplace_front(std::forward<Arguments>(arguments)...);
  }

  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
  std::forward_list<std::string> strings_;
};

}  // namespace naiad
