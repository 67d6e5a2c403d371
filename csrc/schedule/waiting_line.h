#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "request/request.h"

namespace naiad {

// The requests that a model has not begun, in the order in which they are to run: by priority, within one
// those whose time is not over before those that are delayed, and else as they came. Not thread-safe.
class WaitingLine {
 public:
  // Where a request stands. Valid until the line is changed at or before it.
  struct Place {
    std::size_t lane = 0;
    std::size_t index = 0;
  };

  explicit WaitingLine(std::size_t num_levels) : lanes_(num_levels * 2) {}

  // At the end of its priority: 0 is the first.
  void push(std::unique_ptr<Request> request, std::size_t level) {
    lanes_[level * 2].push_back(std::move(request));
  }

  bool empty() const;
  // The first request, and the one behind a place; false at the end.
  bool first(Place& place) const;
  bool next(Place& place) const;
  Request& at(Place place) const { return *lanes_[place.lane][place.index]; }
  std::size_t level(Place place) const { return place.lane / 2; }

  // Takes the request out; the place is now that of the one behind it.
  std::unique_ptr<Request> take(Place place);
  // Puts the request behind all others of its priority.
  void delay(Place place);
  // Whether the place holds a request: after take(), which may have been the last of its lane.
  bool settle(Place& place) const;

 private:
  std::vector<std::deque<std::unique_ptr<Request>>> lanes_;  // by level: in time, delayed
};

}  // namespace naiad
