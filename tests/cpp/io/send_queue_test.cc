#include "io/send_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "io/stream_kit.h"

namespace naiad {
namespace {

std::string gathered(const SendQueue& queue, std::size_t max_pieces) {
  std::vector<iovec> pieces(max_pieces);
  const std::size_t count = queue.gather(pieces);
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  return all;
}

// Text, a view, text; the view lies in the owner.
Outgoing three_pieces(const std::string& head, const std::string& view, const std::string& tail) {
  auto owner = std::make_shared<std::string>(view);
  Outgoing made;
  made.message.text() = head;
  made.message.append_view(std::as_bytes(std::span(*owner)));
  made.message.text() += tail;
  made.owner = owner;
  return made;
}

TEST_CASE("send queue: an owner goes with its last byte") {
  SendQueue queue;
  const auto owner = std::make_shared<int>(0);
  queue.push(test::outgoing("abc", owner));
  queue.push(test::outgoing("def", owner));
  queue.push(test::outgoing("", owner));
  CHECK(owner.use_count() == 3);
  queue.take(2);
  CHECK(owner.use_count() == 3);
  CHECK(gathered(queue, 8) == "cdef");
  queue.take(1);
  CHECK(owner.use_count() == 2);
  CHECK(queue.size_bytes() == 3);
  queue.take(3);
  CHECK(owner.use_count() == 1);
  CHECK(queue.empty());
  queue.push(test::outgoing("x", owner));
  queue.clear();
  CHECK(owner.use_count() == 1);
  CHECK(queue.size_bytes() == 0);
}

TEST_CASE("send queue: the same bytes however they are taken") {
  std::mt19937 random(11);
  SendQueue queue;
  std::string waiting;
  std::size_t made = 0;
  const auto next = [&](std::size_t limit) {
    const std::string text = test::pattern(random() % limit, made);
    made += text.size();
    return text;
  };
  for (int i = 0; i < 5000; ++i) {
    if (random() % 3 != 0) {
      const std::string head = next(40);
      const std::string view = next(100);
      const std::string tail = next(10);
      queue.push(three_pieces(head, view, tail));
      waiting += head + view + tail;
    } else {
      const std::size_t taken = random() % (std::min<std::size_t>(waiting.size(), 400) + 1);
      queue.take(taken);
      waiting.erase(0, taken);
    }
    REQUIRE(queue.size_bytes() == waiting.size());
    REQUIRE(queue.empty() == waiting.empty());
    const std::string front = gathered(queue, 1 + random() % 64);
    REQUIRE(waiting.starts_with(front));
    REQUIRE(front.empty() == waiting.empty());
  }
}

}  // namespace
}  // namespace naiad
