#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/api_group.h"
#include "protocol/grpc_wire.h"

namespace naiad {

// How many requests were answered, by what they asked for and their status. One for each I/O thread, which
// alone writes it: no other thread waits for the cache line.
class EdgeCounts {
 public:
  // What one kind of request came to so far.
  struct Count {
    ApiGroup group = ApiGroup::kUnknown;
    int status = 0;
    std::uint64_t count = 0;
  };

  // I/O thread.
  void count_http(ApiGroup group, int status) {
    add(http_[static_cast<std::size_t>(group)][place_of(status)]);
  }
  void count_grpc(ApiGroup group, GrpcStatus status) {
    add(grpc_[static_cast<std::size_t>(group)][static_cast<std::size_t>(status)]);
  }

  // Adds those that are not 0. Any thread.
  void add_http_to(std::vector<Count>& counts) const;
  void add_grpc_to(std::vector<Count>& counts) const;

 private:
  // Pairs with nothing: a count only.
  using Cell = std::atomic<std::uint64_t>;
  static constexpr int kFirstHttpStatus = 200;
  static constexpr std::size_t kNumHttpStatuses = 400;
  static constexpr std::size_t kNumGrpcStatuses = 17;

  static constexpr std::size_t place_of(int status) {
    const bool known =
        status >= kFirstHttpStatus && status < kFirstHttpStatus + static_cast<int>(kNumHttpStatuses);
    return known ? static_cast<std::size_t>(status - kFirstHttpStatus) : kNumHttpStatuses - 1;
  }
  static void add(Cell& cell) {
    cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  std::array<std::array<Cell, kNumHttpStatuses>, kNumApiGroups> http_{};
  std::array<std::array<Cell, kNumGrpcStatuses>, kNumApiGroups> grpc_{};
};

}  // namespace naiad
