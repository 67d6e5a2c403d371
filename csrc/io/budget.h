#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace naiad {

// What all connections together may hold: connections, or bytes of messages in flight. Shared by the I/O
// threads.
class Budget {
 public:
  // A part of the budget, given back when it is destroyed.
  class Share {
   public:
    Share() = default;
    Share(Budget* budget, std::size_t amount) : budget_(budget), amount_(amount) {}
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), amount_(std::exchange(other.amount_, 0)) {}
    Share& operator=(Share other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(amount_, other.amount_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) budget_->used_.fetch_sub(amount_, std::memory_order_relaxed);
    }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    Budget* budget_ = nullptr;
    std::size_t amount_ = 0;
  };

  explicit Budget(std::size_t limit) : limit_(limit) {}

  // Empty when it does not fit. Any thread; never blocks.
  Share try_take(std::size_t amount) {
    std::size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (amount > limit_ || used > limit_ - amount) return {};
    } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
    return {this, amount};
  }
  // Any thread.
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const { return limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};  // a count only: pairs with nothing
};

}  // namespace naiad
