#include "io/stream.h"

#include <doctest/doctest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/receive_block.h"
#include "io/stream_kit.h"
#include "memory/buffer.h"

namespace naiad {
namespace {

using test::outgoing;
using test::pattern;
using test::run_rounds;
using test::StreamKit;
using test::text_of;

TEST_CASE("stream: tells of new bytes, keeps what is not consumed, and holds no block when idle") {
  StreamKit kit;
  kit.start();
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 0);
  kit.pair.write("hello ");
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 1);
  CHECK(kit.pool.usage().used_bytes > 0);
  kit.pair.write("world");
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 2);
  CHECK(text_of(kit.stream->input()) == "hello world");
  kit.user.input = [&] { kit.take_input(); };
  kit.pair.write("!");
  run_rounds(kit.loop);
  CHECK(kit.stream->input().empty());
  CHECK(kit.pool.usage().used_bytes == 0);
  CHECK_FALSE(kit.stream->input_owner());
}

TEST_CASE("stream: a head that grows beyond its block stays in one piece") {
  StreamKit kit;
  kit.start();
  const std::string head = pattern(100'000);
  for (std::size_t at = 0; at < head.size(); at += 5000) {
    kit.pair.write(head.substr(at, 5000));
    run_rounds(kit.loop, 2);
    REQUIRE(text_of(kit.stream->input()) == head.substr(0, at + 5000));
  }
}

TEST_CASE("stream: a share of the input outlives its consumption and the stream") {
  StreamKit kit;
  kit.start();
  BufferRef share;
  std::span<const std::byte> view;
  kit.user.input = [&] {
    if (!share) {
      view = kit.stream->input();
      share = kit.stream->input_owner();
    }
    kit.take_input();
  };
  kit.pair.write("first");
  run_rounds(kit.loop, 2);
  for (int i = 0; i < 50; ++i) {
    kit.pair.write(std::string(1000, 'z'));
    run_rounds(kit.loop, 2);
  }
  kit.stream.reset();
  CHECK(text_of(view) == "first");
  share = {};
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: a body goes straight into its block, what follows into the input") {
  StreamKit kit;
  kit.start();
  const std::string body = pattern(50'000);
  const BufferRef block = make_heap_buffer(body.size() + 4);
  std::string head;
  std::string after;
  kit.user.input = [&] {
    CHECK_FALSE(kit.stream->receiving());
    if (head.empty()) {
      head = text_of(kit.stream->input().first(5));
      kit.stream->consume(5);
      kit.stream->receive_into(block, 4);
      CHECK(kit.stream->receiving());
      CHECK(kit.stream->received_bytes() == 4 + 100);
      CHECK(kit.stream->input().empty());
    } else {
      after = kit.take_input();
    }
  };
  kit.pair.write("head:" + body.substr(0, 100));
  run_rounds(kit.loop, 2);
  kit.pair.write(body.substr(100, 30'000));
  run_rounds(kit.loop, 2);
  CHECK(kit.user.inputs == 1);
  CHECK(kit.stream->received_bytes() == 4 + 30'100);
  kit.pair.write(body.substr(30'100) + "after");
  run_rounds(kit.loop, 2);
  CHECK(kit.user.inputs == 2);
  CHECK(text_of({block->data() + 4, body.size()}) == body);
  CHECK(head == "head:");
  CHECK(after == "after");
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: a body that the input holds already is told of once, and calls do not nest") {
  StreamKit kit;
  kit.start();
  std::vector<std::string> bodies;
  BufferRef block;
  kit.user.input = [&] {
    if (block) bodies.emplace_back(text_of({block->data(), 3}));
    block = {};
    if (kit.stream->input().size() < 3) return;
    block = make_heap_buffer(3);
    kit.stream->receive_into(block, 0);
    CHECK_FALSE(kit.stream->receiving());
  };
  kit.pair.write("abcdefghij");
  run_rounds(kit.loop, 2);
  CHECK(bodies == std::vector<std::string>{"abc", "def", "ghi"});
  CHECK(kit.user.inputs == 4);
  CHECK(text_of(kit.stream->input()) == "j");
  // Outside a call it is told from within.
  kit.user.input = nullptr;
  block = make_heap_buffer(1);
  kit.stream->receive_into(block, 0);
  CHECK(kit.user.inputs == 5);
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: sends at once what the socket takes, and drops the owner") {
  StreamKit kit;
  kit.start();
  const auto owner = std::make_shared<int>(0);
  kit.stream->send(outgoing("answer", owner));
  CHECK(kit.user.sents == 1);
  CHECK(owner.use_count() == 1);
  CHECK(kit.stream->unsent_bytes() == 0);
  CHECK(kit.pair.read() == "answer");
  run_rounds(kit.loop, 3);
  CHECK(kit.user.sents == 1);
}

TEST_CASE("stream: more than the kernel takes is sent as the other side reads") {
  StreamKit kit;
  kit.start();
  const auto owner = std::make_shared<int>(0);
  const std::string all = pattern(3'000'000);
  for (std::size_t at = 0; at < all.size(); at += 1000)
    kit.stream->send(outgoing(all.substr(at, 1000), owner));
  CHECK(kit.user.sents > 0);
  const int sents = kit.user.sents;
  CHECK(kit.stream->unsent_bytes() > 0);
  CHECK(owner.use_count() == 1 + static_cast<long>((kit.stream->unsent_bytes() + 999) / 1000));
  std::string got;
  while (got.size() < all.size()) {
    const std::string some = kit.pair.read();
    REQUIRE_FALSE(some.empty());
    got += some;
    run_rounds(kit.loop, 2);
  }
  CHECK(got == all);
  CHECK(owner.use_count() == 1);
  CHECK(kit.user.sents == sents + 1);
}

TEST_CASE("stream: a user that sends whenever all is sent does not keep the others from their turn") {
  StreamKit kit;
  kit.start_choppy([] { return std::size_t{1} << 20; });
  constexpr int kMessages = 40;
  kit.user.sent = [&] {
    if (kit.user.sents < kMessages) kit.stream->send(outgoing("m"));
  };
  kit.stream->send(outgoing("m"));
  CHECK(kit.choppy->writes < kMessages);
  run_rounds(kit.loop, kMessages);
  CHECK(kit.choppy->writes == kMessages);
  CHECK(kit.pair.read().size() == kMessages);
}

TEST_CASE("stream: one that is flooded reads a bounded number of times a round") {
  StreamKit kit;
  kit.start_choppy([] { return std::size_t{10}; });
  kit.user.input = [&] { kit.take_input(); };
  kit.pair.write(pattern(100'000));
  // The choppy socket is never found empty: only the bound ends a round. (10 bytes are less than the room,
  // after which a plain socket is not asked again.)
  run_rounds(kit.loop, 1);
  CHECK(kit.choppy->reads == 1);
  StreamKit bulk;
  bulk.start_choppy([] { return std::size_t{1} << 30; });
  bulk.user.input = [&] { bulk.take_input(); };
  std::size_t sent = 0;
  while (const std::size_t some = bulk.pair.write_some(pattern(1000))) sent += some;
  run_rounds(bulk.loop, 1);
  CHECK(bulk.choppy->reads <= 8);
  CHECK(bulk.user.inputs <= 8);
  run_rounds(bulk.loop, 50);
  CHECK(bulk.pool.usage().used_bytes == 0);
  CHECK(sent > 0);
}

TEST_CASE("stream: paused, nothing is read, but the other side's going is noticed") {
  StreamKit kit;
  kit.start();
  kit.user.input = [&] { kit.take_input(); };
  kit.stream->pause();
  kit.pair.write("waits");
  run_rounds(kit.loop, 5);
  CHECK(kit.user.inputs == 0);
  kit.stream->resume();
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 1);
  kit.stream->pause();
  kit.pair.write("lost");
  run_rounds(kit.loop, 5);
  SUBCASE("closed") {
    kit.pair.close_far();
  }
  SUBCASE("half closed") {
    ::shutdown(kit.pair.far, SHUT_WR);
  }
  run_rounds(kit.loop, 5);
  CHECK(kit.user.inputs == 1);
  CHECK(kit.user.gones == 1);
  CHECK(kit.stream->closed());
}

TEST_CASE("stream: pausing within on_input ends the reading, also of a body") {
  StreamKit kit;
  kit.start();
  const BufferRef block = make_heap_buffer(1000);
  kit.user.input = [&] {
    kit.stream->consume(1);
    kit.stream->receive_into(block, 0);
    kit.stream->pause();
  };
  kit.pair.write("x123");
  run_rounds(kit.loop);
  kit.pair.write("456");
  run_rounds(kit.loop, 5);
  CHECK(kit.stream->received_bytes() == 3);
  kit.stream->resume();
  run_rounds(kit.loop);
  CHECK(kit.stream->received_bytes() == 6);
  CHECK(kit.user.inputs == 1);
}

TEST_CASE("stream: what was sent before the end is received first") {
  StreamKit kit;
  kit.start();
  const std::string all = pattern(60'000);
  std::string got;
  kit.user.input = [&] { got += kit.take_input(); };
  kit.user.gone = [&] { CHECK(got == all); };
  kit.pair.write(all);
  kit.pair.close_far();
  run_rounds(kit.loop, 10);
  CHECK(kit.user.gones == 1);
  CHECK(got == all);
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: a broken connection is told by the loop, never from within send(), and raises no signal") {
  StreamKit kit;
  kit.start();
  std::signal(SIGPIPE, SIG_DFL);
  const auto owner = std::make_shared<int>(0);
  kit.pair.close_far();
  kit.stream->send(outgoing("lost", owner));
  kit.stream->send(outgoing("lost too", owner));
  CHECK(kit.user.gones == 0);
  CHECK(kit.user.sents == 0);
  CHECK(owner.use_count() == 1);
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 1);
  kit.stream->send(outgoing("late", owner));
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("stream: closing after the last byte keeps the bytes, waits for the other side, ignores input") {
  StreamKit kit;
  kit.start();
  const std::string all = pattern(1'000'000);
  const auto owner = std::make_shared<int>(0);
  kit.stream->send(outgoing(all, owner));
  kit.stream->close_after_sent();
  kit.stream->close_after_sent();
  kit.stream->send(outgoing("not this", owner));
  std::string got;
  bool ended = false;
  kit.pair.write("ignored");
  for (int i = 0; i < 100 && !ended; ++i) {
    run_rounds(kit.loop, 2);
    got += kit.pair.read(&ended);
  }
  CHECK(ended);
  CHECK(got == all);
  CHECK(owner.use_count() == 1);
  CHECK(kit.user.gones == 0);
  SUBCASE("the other side closes") {
    kit.pair.close_far();
  }
  SUBCASE("the other side shuts down") {
    ::shutdown(kit.pair.far, SHUT_WR);
  }
  SUBCASE("the other side stays") {
    kit.pair.write("still ignored");
    run_rounds(kit.loop);
    CHECK(kit.user.gones == 0);
    kit.clock.advance(1'100'000'000);
  }
  run_rounds(kit.loop, 4);
  CHECK(kit.user.gones == 1);
  CHECK(kit.user.inputs == 0);
}

TEST_CASE("stream: an end while the last bytes wait counts as gone") {
  StreamKit kit;
  kit.start();
  kit.stream->send(outgoing(pattern(3'000'000)));
  kit.stream->close_after_sent();
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 0);
  kit.pair.close_far();
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("stream: everything may be used from within on_input, and nothing nests") {
  StreamKit kit;
  kit.start();
  kit.user.input = [&] {
    const std::string text = kit.take_input();
    kit.stream->pause();
    kit.stream->send(outgoing("<" + text + ">"));
    CHECK(kit.user.sents == 0);
    kit.stream->send(outgoing("."));
    kit.stream->resume();
    kit.stream->close_after_sent();
  };
  kit.pair.write("a");
  run_rounds(kit.loop);
  bool ended = false;
  CHECK(kit.pair.read(&ended) == "<a>.");
  kit.pair.close_far();
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("stream: what on_input looks at stays until it returns, whatever it does") {
  StreamKit kit;
  kit.start();
  std::function<void()> act;
  SUBCASE("takes the rest elsewhere") {
    act = [&] { kit.stream->receive_into(make_heap_buffer(100), 0); };
  }
  SUBCASE("closes") {
    act = [&] { kit.stream->close(); };
  }
  SUBCASE("closes in order") {
    act = [&] { kit.stream->close_after_sent(); };
  }
  SUBCASE("destroys the stream") {
    act = [&] { kit.stream.reset(); };
  }
  kit.user.input = [&] {
    const auto view = kit.stream->input();
    kit.stream->consume(4);
    act();
    CHECK(text_of(view) == "head and rest");
  };
  kit.pair.write("head and rest");
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 1);
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: closed from within on_input, it tells nothing more") {
  StreamKit kit;
  kit.start();
  const auto owner = std::make_shared<int>(0);
  kit.user.input = [&] {
    kit.stream->send(outgoing(pattern(2'000'000), owner));
    kit.stream->close();
    CHECK(kit.stream->closed());
    kit.stream->send(outgoing("late"));
    kit.stream->receive_into(make_heap_buffer(1), 0);
    kit.stream->close_after_sent();
    kit.stream->resume();
    kit.stream->close();
  };
  kit.pair.write(pattern(50'000));
  run_rounds(kit.loop, 5);
  CHECK(kit.user.inputs == 1);
  CHECK(kit.user.sents == 0);
  CHECK(kit.user.gones == 0);
  CHECK(owner.use_count() == 1);
  CHECK(kit.pool.usage().used_bytes == 0);
}

}  // namespace
}  // namespace naiad
