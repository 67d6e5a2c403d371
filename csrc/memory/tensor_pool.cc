#include "memory/tensor_pool.h"

#include "memory/arena_pool.h"
#include "memory/host_pinning.h"

namespace naiad {

std::unique_ptr<TensorPool> make_arena_pool(std::size_t capacity_bytes, std::size_t pinned_limit_bytes) {
  ArenaPoolOptions options;
  options.capacity_bytes = capacity_bytes;
  options.pinned_limit_bytes = pinned_limit_bytes;
  options.pin = &pin_host_memory;
  options.unpin = &unpin_host_memory;
  return std::make_unique<ArenaPool>(options);
}

std::unique_ptr<TensorPool> make_arena_pool_of(int fd, std::size_t capacity_bytes) {
  ArenaPoolOptions options;
  options.capacity_bytes = capacity_bytes;
  options.arena_fd = fd;
  return std::make_unique<ArenaPool>(options);
}

}  // namespace naiad
