#include "io/edge_counts.h"

namespace naiad {
namespace {

template <class Table>
void add_to(const Table& table, int first_status, std::vector<EdgeCounts::Count>& counts) {
  for (std::size_t group = 0; group < table.size(); ++group) {
    for (std::size_t place = 0; place < table[group].size(); ++place) {
      const std::uint64_t count = table[group][place].load(std::memory_order_relaxed);
      if (count == 0) continue;
      counts.push_back({static_cast<ApiGroup>(group), first_status + static_cast<int>(place), count});
    }
  }
}

}  // namespace

void EdgeCounts::add_http_to(std::vector<Count>& counts) const {
  add_to(http_, kFirstHttpStatus, counts);
}

void EdgeCounts::add_grpc_to(std::vector<Count>& counts) const {
  add_to(grpc_, 0, counts);
}

}  // namespace naiad
