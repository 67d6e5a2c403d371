#pragma once

#include <cstdint>

namespace naiad {

// The call of a model to another one that a request belongs to, as long as it is shared by a request that is
// out for it.
class CallTicket {
 public:
  explicit CallTicket(std::uint64_t number) : number_(number) {}
  virtual ~CallTicket() = default;
  CallTicket(const CallTicket&) = delete;
  CallTicket& operator=(const CallTicket&) = delete;

  std::uint64_t number() const { return number_; }

 private:
  const std::uint64_t number_;
};

}  // namespace naiad
