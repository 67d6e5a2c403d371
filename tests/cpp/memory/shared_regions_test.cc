#include "memory/shared_regions.h"

#include <dirent.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "fakes/shared_object.h"

namespace naiad {
namespace {

using test::SharedObject;

std::vector<std::byte> filled(std::size_t size_bytes, unsigned char value) {
  return std::vector<std::byte>(size_bytes, std::byte{value});
}

std::size_t num_open_files() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  REQUIRE(directory != nullptr);
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

}  // namespace

TEST_CASE("a region's bytes are those of the object behind its offset") {
  const SharedObject object(8192);
  for (std::size_t i = 0; i < 8192; ++i) object.bytes()[i] = static_cast<std::byte>(i % 251);
  SharedRegions regions;
  REQUIRE(regions.register_system("r", object.key(), 4097, 1000).ok());
  SharedWindow window;
  REQUIRE(regions.lease("r", 3, 100, window).ok());
  CHECK(window.size_bytes() == 100);
  auto got = filled(100, 0);
  REQUIRE(window.read(got).ok());
  CHECK(std::memcmp(got.data(), object.bytes() + 4100, 100) == 0);

  const auto given = filled(40, 0xAB);
  REQUIRE(window.write(given).ok());
  CHECK(std::memcmp(object.bytes() + 4100, given.data(), 40) == 0);
  CHECK(object.bytes()[4099] == static_cast<std::byte>(4099 % 251));
  CHECK(object.bytes()[4140] == static_cast<std::byte>(4140 % 251));
}

TEST_CASE("regions are listed as they were registered") {
  const SharedObject object(100);
  SharedRegions regions;
  REQUIRE(regions.register_system("b", object.key(), 8, 16).ok());
  REQUIRE(regions.register_system("a", object.key().substr(1), 0, 100).ok());
  std::vector<std::shared_ptr<const SystemRegion>> found;
  REQUIRE(regions.list_system("", found).ok());
  REQUIRE(found.size() == 2);
  CHECK(found[0]->name() == "a");
  CHECK(found[1]->name() == "b");
  CHECK(found[1]->key() == object.key());
  CHECK(found[1]->offset_bytes() == 8);
  CHECK(found[1]->size_bytes() == 16);

  const Status taken = regions.register_system("a", object.key(), 0, 1);
  CHECK(taken.code() == Code::kAlreadyExists);
  CHECK(taken.message() == "shared memory region 'a' already in manager");
  regions.unregister_system("a");
  regions.unregister_system("never registered");
  found.clear();
  const Status unknown = regions.list_system("a", found);
  CHECK(unknown.code() == Code::kNotFound);
  CHECK(unknown.message() == "Unable to find system shared memory region: 'a'");
  CHECK(regions.register_system("a", object.key(), 0, 1).ok());
  regions.unregister_system("");
  REQUIRE(regions.list_system("", found).ok());
  CHECK(found.empty());
}

TEST_CASE("a key is the name of an object and no path") {
  const SharedObject object(64);
  const std::string bare = object.key().substr(1);
  SharedRegions regions;
  const std::vector<std::string> refused{"",
                                         "/",
                                         "//" + bare,
                                         "/./" + bare,
                                         "./" + bare,
                                         "../shm/" + bare,
                                         "..",
                                         ".",
                                         "/..",
                                         bare + "/",
                                         bare + '\0',
                                         bare + std::string("\0y", 2),
                                         std::string(251, 'x'),
                                         "/" + std::string(256, 'x'),
                                         "triton_python_backend_shm_region_1",
                                         "/triton_python_backend_shm_region_1"};
  for (const std::string& key : refused) {
    CAPTURE(key);
    const Status status = regions.register_system("r", key, 0, 64);
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(status.message().find("cannot register shared memory region 'r'") == 0);
  }
  const Status missing = regions.register_system("r", "naiad_no_such_object", 0, 64);
  CHECK(missing.code() == Code::kInvalidArgument);
  CHECK(missing.message() == "Unable to open shared memory region: 'r'");
  CHECK(regions.register_system("", object.key(), 0, 64).code() == Code::kInvalidArgument);
  CHECK(regions.register_system(std::string(1025, 'n'), object.key(), 0, 64).code() ==
        Code::kInvalidArgument);
}

TEST_CASE("offset and size are checked without wrapping, at registration and at use") {
  constexpr std::uint64_t kObject = 3 * 4096;
  const SharedObject object(kObject);
  std::vector<std::uint64_t> values;
  const std::array<std::uint64_t, 8> around{
      0, 4096, 8192, kObject, std::uint64_t{1} << 31, std::uint64_t{1} << 32, std::uint64_t{1} << 63, 0};
  for (const std::uint64_t center : around) {
    for (std::uint64_t near = 0; near < 7; ++near) {
      values.push_back(center + near);  // those below 0 are those below 2^64
      values.push_back(center - near);
    }
  }
  SharedRegions whole;
  REQUIRE(whole.register_system("r", object.key(), 0, kObject).ok());
  SharedRegions regions;
  std::size_t num_pairs = 0;
  for (const std::uint64_t offset : values) {
    for (const std::uint64_t size : values) {
      ++num_pairs;
      const bool fits = offset <= kObject && size <= kObject - offset;
      const Status status = regions.register_system("r", object.key(), offset, size);
      const bool registered = fits && size > 0;
      if (status.ok() != registered) FAIL_CHECK(offset, " ", size, " ", status.message());
      if (!status.ok()) {
        CHECK(status.message() == "failed to register shared memory region 'r': invalid args");
      } else {
        SharedWindow window;
        REQUIRE(regions.lease("r", 0, size, window).ok());
        auto bytes = filled(size, 1);
        REQUIRE(window.read(bytes).ok());
        REQUIRE(window.write(bytes).ok());
        CHECK(regions.lease("r", 0, size + 1, window).code() == Code::kInvalidArgument);
        CHECK(regions.lease("r", size, 0, window).code() == Code::kInvalidArgument);
        regions.unregister_system("");
      }
      SharedWindow window;
      const Status leased = whole.lease("r", offset, size, window);
      if (leased.ok() != (fits && offset < kObject)) FAIL_CHECK(offset, " ", size, " ", leased.message());
      if (!leased.ok()) CHECK(leased.code() == Code::kInvalidArgument);
    }
  }
  CHECK(num_pairs >= 10'000);
  SharedWindow window;
  CHECK(whole.lease("r", kObject, 1, window).message() == "Invalid offset for shared memory region: 'r'");
  CHECK(whole.lease("r", 32, std::numeric_limits<std::uint64_t>::max() - 31, window).message() ==
        "Invalid offset + byte size for shared memory region: 'r'");
  CHECK(whole.lease("s", 0, 1, window).message() == "Unable to find shared memory region: 's'");
}

TEST_CASE("an object that its client shrinks is an error and no signal") {
  const SharedObject object(1 << 20);
  SharedRegions regions;
  REQUIRE(regions.register_system("r", object.key(), 0, 1 << 20).ok());
  SharedWindow window;
  REQUIRE(regions.lease("r", 0, 1 << 20, window).ok());
  object.resize(4096);
  const std::string expected = "shared memory region 'r' is smaller than it was when it was registered";
  auto bytes = filled(1 << 20, 7);
  CHECK(window.read(bytes).message() == expected);
  CHECK(window.write(bytes).message() == expected);
  CHECK(window.write(bytes).code() == Code::kInvalidArgument);
  CHECK(object.size_bytes() == 4096);
  CHECK(regions.lease("r", 0, 16, window).message() == expected);
  object.resize(1 << 20);
  CHECK(regions.lease("r", 0, 16, window).ok());
}

TEST_CASE("a region that is unregistered lives until its last window has gone") {
  const SharedObject object(64);
  const std::size_t files_before = num_open_files();
  SharedRegions regions;
  REQUIRE(regions.register_system("r", object.key(), 0, 64).ok());
  SharedWindow window;
  REQUIRE(regions.lease("r", 0, 64, window).ok());
  regions.unregister_system("r");
  // The name stands for another object now; the window still for the one it was leased of.
  const SharedObject other(64);
  REQUIRE(regions.register_system("r", other.key(), 0, 64).ok());
  REQUIRE(window.write(filled(64, 9)).ok());
  CHECK(object.bytes()[63] == std::byte{9});
  CHECK(other.bytes()[63] == std::byte{0});
  regions.unregister_system("");
  CHECK(num_open_files() == files_before + 2);  // the window's, and the one of `other` itself
  window = {};
  CHECK(num_open_files() == files_before + 1);
}

TEST_CASE("refused registrations leave nothing open, and their number is bounded") {
  const SharedObject object(64);
  SharedRegions regions;
  const std::size_t files_before = num_open_files();
  for (int i = 0; i < 100; ++i) CHECK(!regions.register_system("r", object.key(), 60, 5).ok());
  CHECK(num_open_files() == files_before);
  for (std::size_t i = 0; i < SharedRegions::kMaxRegions; ++i) {
    REQUIRE(regions.register_system("r" + std::to_string(i), object.key(), 0, 64).ok());
  }
  CHECK(regions.register_system("one more", object.key(), 0, 64).code() == Code::kUnavailable);
  regions.unregister_system("");
  CHECK(num_open_files() == files_before);
}

TEST_CASE("registering, leasing, copying and shrinking from many threads") {
  constexpr std::size_t kSize = 16384;
  const SharedObject object(kSize);
  SharedRegions regions;
  std::atomic<bool> done{false};  // pairs with nothing: a hint to stop
  std::atomic<std::size_t> num_copies{0};
  std::atomic<std::size_t> num_wrong{0};
  const auto use = [&](unsigned char value) {
    auto bytes = filled(kSize / 4, value);
    while (!done.load(std::memory_order_relaxed)) {
      SharedWindow window;
      const Status status = regions.lease("r", 1024, bytes.size(), window);
      if (!status.ok()) {
        const bool typed = status.code() == Code::kNotFound || status.code() == Code::kInvalidArgument;
        if (!typed) num_wrong.fetch_add(1);
        continue;
      }
      const Status copied = value % 2 == 0 ? window.read(bytes) : window.write(bytes);
      if (!copied.ok() && copied.code() != Code::kInvalidArgument) num_wrong.fetch_add(1);
      num_copies.fetch_add(1);
    }
  };
  std::vector<std::thread> users;
  for (unsigned char value = 2; value < 5; ++value) users.emplace_back(use, value);
  for (int i = 0; i < 300 || num_copies.load() < 50; ++i) {
    static_cast<void>(regions.register_system("r", object.key(), 0, kSize));
    if (i % 7 == 0) object.resize(1000);
    std::this_thread::yield();
    if (i % 7 == 0) object.resize(kSize);
    if (i % 2 == 0) regions.unregister_system("r");
    if (i % 11 == 0) regions.unregister_system("");
  }
  done = true;
  for (std::thread& user : users) user.join();
  CHECK(num_wrong.load() == 0);
}

}  // namespace naiad
