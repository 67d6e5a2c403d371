#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace naiad {

// The dimensions of a tensor. Up to kInline of them are kept without an allocation.
class Shape {
 public:
  static constexpr std::size_t kInline = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span<const std::int64_t>(dims)) {}
  explicit Shape(std::span<const std::int64_t> dims) {
    for (std::int64_t dim : dims) push_back(dim);
  }

  std::size_t rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::int64_t operator[](std::size_t i) const { return data()[i]; }
  std::int64_t& operator[](std::size_t i) { return data()[i]; }
  const std::int64_t* data() const { return rank_ <= kInline ? inline_.data() : spilled_.data(); }
  std::int64_t* data() { return rank_ <= kInline ? inline_.data() : spilled_.data(); }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + rank_; }
  std::span<const std::int64_t> dims() const { return {data(), rank_}; }
  // The dimensions after the first.
  std::span<const std::int64_t> tail() const { return dims().subspan(1); }

  void push_back(std::int64_t dim) {
    if (rank_ < kInline) {
      inline_[rank_] = dim;
    } else {
      if (rank_ == kInline) spilled_.assign(inline_.begin(), inline_.end());
      spilled_.push_back(dim);
    }
    ++rank_;
  }

  // Product of the dimensions (1 for a scalar); empty when a dimension is negative or the product does
  // not fit. Any thread.
  std::optional<std::size_t> num_elements() const;

  // Bytes of a tensor of this shape; empty for kBytes, a negative dimension, or a product that does not
  // fit. Any thread.
  std::optional<std::size_t> size_bytes(DataType dtype) const;

  // "[2,-1,4]", as Triton writes shapes in messages. Any thread.
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (std::size_t i = 0; i < a.rank_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

 private:
  std::size_t rank_ = 0;
  std::array<std::int64_t, kInline> inline_{};
  std::vector<std::int64_t> spilled_;  // all dimensions, once there are more than kInline
};

}  // namespace naiad
