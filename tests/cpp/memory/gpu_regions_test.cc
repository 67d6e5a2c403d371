// Regions on a GPU, over a fake one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "fakes/shared_gpu.h"
#include "memory/shared_regions.h"

namespace naiad {

using Bytes = std::vector<std::byte>;
using test::SharedGpu;

TEST_CASE("a region on a GPU is read and written like any other") {
  SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  REQUIRE(regions.register_gpu("r", SharedGpu::handle(), 0, 80).ok());
  SharedWindow window;
  REQUIRE(regions.lease("r", 60, 20, window).ok());
  (*gpu.bytes)[61] = std::byte{9};
  Bytes got(20);
  REQUIRE(window.read(got).ok());
  CHECK(got[1] == std::byte{9});
  REQUIRE(window.write(Bytes(20, std::byte{5})).ok());
  CHECK((*gpu.bytes)[79] == std::byte{5});
  CHECK((*gpu.bytes)[80] == std::byte{0});
  CHECK(regions.lease("r", 60, 21, window).code() == Code::kInvalidArgument);
  CHECK(regions.lease("r", 80, 1, window).code() == Code::kInvalidArgument);
}

TEST_CASE("an allocation is closed by its last user, or when it is refused") {
  SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  CHECK(regions.register_gpu("r", SharedGpu::handle(), 0, 0).code() == Code::kInvalidArgument);
  const Status too_large = regions.register_gpu("r", SharedGpu::handle(), 0, 101);
  CHECK(too_large.code() == Code::kInvalidArgument);
  CHECK(
      too_large.message() ==
      "failed to register CUDA shared memory region: 'r', its byte size should be from 1 to 100, the size of "
      "the allocation, got 101");
  CHECK(gpu.num_open == 0);
  REQUIRE(regions.register_gpu("r", SharedGpu::handle(), 0, 100).ok());
  SharedWindow window;
  REQUIRE(regions.lease("r", 0, 100, window).ok());
  regions.unregister_gpu("r");
  CHECK(gpu.num_open == 1);
  window = {};
  CHECK(gpu.num_open == 0);
}

TEST_CASE("what the device refuses is said with the region's name") {
  SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  CHECK(regions.register_gpu("r", SharedGpu::handle(), 1, 8).message() ==
        "failed to register CUDA shared memory region: 'r', there is no GPU 1");
  CHECK(regions.register_gpu("r", GpuMemoryHandle{}, 0, 8).message() ==
        "failed to register CUDA shared memory region: 'r', failed to open CUDA IPC handle");
  CHECK(regions.register_gpu("", SharedGpu::handle(), 0, 8).code() == Code::kInvalidArgument);
}

TEST_CASE("regions of the two kinds share their names and nothing else") {
  SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  REQUIRE(regions.register_gpu("b", SharedGpu::handle(), 0, 8).ok());
  REQUIRE(regions.register_gpu("a", SharedGpu::handle(), 0, 16).ok());
  CHECK(regions.register_system("a", "/naiad_no_such_object", 0, 8).code() == Code::kAlreadyExists);
  std::vector<std::shared_ptr<const GpuRegion>> found;
  REQUIRE(regions.list_gpu("", found).ok());
  REQUIRE(found.size() == 2);
  CHECK(found[0]->name() == "a");
  CHECK(found[0]->size_bytes() == 16);
  CHECK(found[0]->device() == 0);
  std::vector<std::shared_ptr<const SystemRegion>> none;
  CHECK(regions.list_system("a", none).message() == "Unable to find system shared memory region: 'a'");
  CHECK(regions.list_gpu("c", found).message() == "Unable to find cuda shared memory region: 'c'");
  regions.unregister_system("a");
  regions.unregister_system("");
  CHECK(gpu.num_open == 2);
  regions.unregister_gpu("");
  CHECK(gpu.num_open == 2);  // those of `found`
  found.clear();
  CHECK(gpu.num_open == 0);
}

}  // namespace naiad
