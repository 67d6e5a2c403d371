#pragma once

#include <compare>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "memory/device.h"

namespace naiad {

// What instances of models share and have little of: by its name, on one device or (global) on all together.
struct RateResource {
  static constexpr int kGlobal = -2;
  static constexpr int kCpu = -1;
  static constexpr int kEvery = -3;  // in limits: of each device that has none of its own

  std::string name;
  int device = kGlobal;  // kGlobal, kCpu, or the number of a GPU

  friend auto operator<=>(const RateResource&, const RateResource&) = default;
};

// What an instance needs while it runs a batch (instance_group.rate_limiter).
struct RateNeeds {
  std::map<RateResource, std::size_t> resources;
  std::uint32_t priority = 1;

  bool empty() const { return resources.empty(); }
  friend bool operator==(const RateNeeds&, const RateNeeds&) = default;
};

// Lets instances run only while what they need is there (Triton's rate limiter, mode execution_count): of
// those that wait, the one with the lowest product of its executions so far and its priority is first. None
// is overtaken by one that needs what it waits for. There is as much of a resource as was said, or as the
// instance with the largest need for it takes. Any thread.
class RateLimiter {
 public:
  using Limits = std::map<RateResource, std::size_t>;

  explicit RateLimiter(Limits limits) : limits_(std::move(limits)) {}

  // An instance that may ask; it leaves with this. The limiter outlives it.
  class Member {
   public:
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

   private:
    friend class RateLimiter;
    Member(RateLimiter& limiter, RateNeeds needs) : limiter_(limiter), needs_(std::move(needs)) {}

    RateLimiter& limiter_;
    const RateNeeds needs_;
    std::uint64_t num_executions_ = 0;  // guarded by the limiter's mutex, as is all below
    bool granted_ = false;
    std::condition_variable changed_;
  };

  // Throws Error(kInvalidArgument) when the instance would need more than there is.
  std::unique_ptr<Member> join(RateNeeds needs);

  // What the member needs, while it lives.
  class Turn {
   public:
    // Blocks until it is there; a null member needs nothing.
    explicit Turn(Member* member);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Member* const member_;
  };

 private:
  // All with mutex_ held.
  void grant();
  std::size_t available(const RateResource& resource) const;
  const std::size_t* limit_of(const RateResource& resource) const;

  const Limits limits_;
  std::mutex mutex_;
  std::list<Member*> members_;
  std::list<Member*> waiting_;  // in the order in which they came
  std::map<RateResource, std::size_t> used_;
};

}  // namespace naiad
