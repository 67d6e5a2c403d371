#include "io/receive_block.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "io/stream_kit.h"

namespace naiad {
namespace {

void put(ReceiveBlock& block, std::string_view text) {
  const auto room = block.try_room();
  REQUIRE(room.size() >= text.size());
  std::memcpy(room.data(), text.data(), text.size());
  block.fill(text.size());
}

TEST_CASE("receive block: what is left moves to the front, or into a bigger block, and stays in one piece") {
  HeapPool pool;
  ReceiveBlock block(pool);
  CHECK(block.bytes().empty());
  std::string expected;
  while (expected.size() < 100'000) {
    const std::string more = test::pattern(ReceiveBlock::kLeastRoomBytes, expected.size());
    put(block, more);
    expected += more;
    REQUIRE(test::text_of(block.bytes()) == expected);
  }
  block.consume(99'000);
  block.trim();
  CHECK(test::text_of(block.bytes()) == expected.substr(99'000));
  block.consume(expected.size() - 99'000);
  block.trim();
  CHECK(pool.usage().used_bytes == 0);
}

TEST_CASE("receive block: a share's bytes are never written again") {
  HeapPool pool;
  ReceiveBlock block(pool);
  std::mt19937 random(3);
  struct Share {
    BufferRef owner;
    std::span<const std::byte> bytes;
    std::string expected;
  };
  std::vector<Share> shares;
  std::size_t written = 0;
  std::size_t consumed = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string more = test::pattern(random() % ReceiveBlock::kLeastRoomBytes, written);
    put(block, more);
    written += more.size();
    REQUIRE(test::text_of(block.bytes()) == test::pattern(written - consumed, consumed));
    const std::size_t size_bytes = random() % (written - consumed + 1);
    if (random() % 2 == 0) {
      shares.push_back({block.owner(), block.bytes().first(size_bytes), test::pattern(size_bytes, consumed)});
    }
    if (random() % 3 != 0) {
      block.consume(size_bytes);
      consumed += size_bytes;
    }
    if (random() % 2 == 0) block.trim();
    if (shares.size() > 20) std::swap(shares[random() % shares.size()], shares.back()), shares.pop_back();
    for (const Share& share : shares) REQUIRE(test::text_of(share.bytes) == share.expected);
  }
}

TEST_CASE("receive block: new bytes go behind those that are shared, in the same block") {
  HeapPool pool;
  ReceiveBlock block(pool);
  put(block, "shared");
  const BufferRef share = block.owner();
  block.consume(6);
  put(block, "next");
  CHECK(block.owner().get() == share.get());
  CHECK(block.bytes().data() == share->data() + 6);
  CHECK(test::text_of({share->data(), 6}) == "shared");
}

TEST_CASE("receive block: bulk gets bigger blocks, small messages small ones again") {
  HeapPool pool;
  ReceiveBlock block(pool);
  std::size_t room_bytes = 0;
  for (int i = 0; i < 6; ++i) {
    const auto room = block.try_room();
    room_bytes = room.size();
    block.fill(room_bytes);
    block.consume(room_bytes);
    block.trim();
  }
  CHECK(room_bytes == ReceiveBlock::kBulkBytes);
  put(block, "x");
  block.consume(1);
  block.trim();
  CHECK(block.try_room().size() == ReceiveBlock::kFirstBytes);
}

TEST_CASE("receive block: an exhausted pool gives no room and costs no bytes") {
  HeapPool pool(ReceiveBlock::kFirstBytes);
  ReceiveBlock block(pool);
  const std::string full = test::pattern(ReceiveBlock::kFirstBytes);
  put(block, full);
  CHECK(block.try_room().empty());
  CHECK(test::text_of(block.bytes()) == full);
  block.consume(6000);
  CHECK_FALSE(block.try_room().empty());
  CHECK(test::text_of(block.bytes()) == full.substr(6000));
}

}  // namespace
}  // namespace naiad
