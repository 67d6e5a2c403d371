#include "execute/rate_limiter.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"

namespace naiad {

std::unique_ptr<RateLimiter::Member> RateLimiter::join(RateNeeds needs) {
  for (const auto& [resource, count] : needs.resources) {
    const std::size_t* const limit = limit_of(resource);
    if (limit != nullptr && count > *limit) {
      throw Error(Code::kInvalidArgument, "resource count for \"" + resource.name + "\" is limited to " +
                                              std::to_string(*limit) +
                                              " which will prevent scheduling of an instance that "
                                              "needs " +
                                              std::to_string(count));
    }
  }
  std::unique_ptr<Member> member(new Member(*this, std::move(needs)));
  const std::lock_guard lock(mutex_);
  members_.push_back(member.get());
  grant();  // there may be more of something now
  return member;
}

RateLimiter::Member::~Member() {
  const std::lock_guard lock(limiter_.mutex_);
  limiter_.members_.remove(this);
}

const std::size_t* RateLimiter::limit_of(const RateResource& resource) const {
  auto found = limits_.find(resource);
  if (found == limits_.end() && resource.device != RateResource::kGlobal) {
    found = limits_.find({resource.name, RateResource::kEvery});
  }
  return found == limits_.end() ? nullptr : &found->second;
}

std::size_t RateLimiter::available(const RateResource& resource) const {
  if (const std::size_t* const limit = limit_of(resource)) return *limit;
  std::size_t most = 0;
  for (const Member* member : members_) {
    const auto need = member->needs_.resources.find(resource);
    if (need != member->needs_.resources.end()) most = std::max(most, need->second);
  }
  return most;
}

void RateLimiter::grant() {
  waiting_.sort([](const Member* a, const Member* b) {
    return a->num_executions_ * a->needs_.priority < b->num_executions_ * b->needs_.priority;
  });
  std::set<RateResource> awaited;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Member& member = **it;
    const bool fits = std::ranges::all_of(member.needs_.resources, [&](const auto& need) {
      return !awaited.contains(need.first) && used_[need.first] + need.second <= available(need.first);
    });
    if (!fits) {
      for (const auto& need : member.needs_.resources) awaited.insert(need.first);
      ++it;
      continue;
    }
    for (const auto& [resource, count] : member.needs_.resources) used_[resource] += count;
    ++member.num_executions_;
    member.granted_ = true;
    member.changed_.notify_one();
    it = waiting_.erase(it);
  }
}

RateLimiter::Turn::Turn(Member* member) : member_(member) {
  if (member == nullptr) return;
  std::unique_lock lock(member->limiter_.mutex_);
  member->limiter_.waiting_.push_back(member);
  member->limiter_.grant();
  member->changed_.wait(lock, [&] { return member->granted_; });
}

RateLimiter::Turn::~Turn() {
  if (member_ == nullptr) return;
  RateLimiter& limiter = member_->limiter_;
  const std::lock_guard lock(limiter.mutex_);
  member_->granted_ = false;
  for (const auto& [resource, count] : member_->needs_.resources) limiter.used_[resource] -= count;
  limiter.grant();
}

}  // namespace naiad
