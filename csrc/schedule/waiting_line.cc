#include "schedule/waiting_line.h"

#include <utility>

namespace naiad {

bool WaitingLine::empty() const {
  Place place;
  return !first(place);
}

bool WaitingLine::first(Place& place) const {
  place = {};
  return settle(place);
}

bool WaitingLine::next(Place& place) const {
  ++place.index;
  return settle(place);
}

bool WaitingLine::settle(Place& place) const {
  while (place.lane < lanes_.size() && place.index >= lanes_[place.lane].size()) {
    ++place.lane;
    place.index = 0;
  }
  return place.lane < lanes_.size();
}

std::unique_ptr<Request> WaitingLine::take(Place place) {
  auto& lane = lanes_[place.lane];
  std::unique_ptr<Request> request = std::move(lane[place.index]);
  lane.erase(lane.begin() + static_cast<std::ptrdiff_t>(place.index));
  return request;
}

void WaitingLine::delay(Place place) {
  std::unique_ptr<Request> request = take(place);
  lanes_[place.lane | 1].push_back(std::move(request));
}

}  // namespace naiad
