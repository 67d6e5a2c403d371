#include <doctest/doctest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/receive_block.h"
#include "io/stream.h"
#include "io/stream_kit.h"
#include "memory/buffer.h"

namespace naiad {
namespace {

using test::outgoing;
using test::pattern;
using test::run_rounds;
using test::StreamKit;
using test::text_of;

TEST_CASE("stream: destroyed from within each of its calls") {
  StreamKit kit;
  kit.start();
  SUBCASE("on_input") {
    kit.user.input = [&] {
      kit.stream->send(outgoing("x"));
      kit.stream.reset();
    };
    kit.pair.write(pattern(50'000));
  }
  SUBCASE("on_sent, in send()") {
    kit.user.sent = [&] { kit.stream.reset(); };
    kit.stream->send(outgoing("x"));
  }
  SUBCASE("on_sent, by the loop") {
    kit.stream->send(outgoing(pattern(400'000)));
    kit.user.sent = [&] { kit.stream.reset(); };
    while (kit.stream) {
      kit.pair.read();
      run_rounds(kit.loop, 2);
    }
  }
  SUBCASE("on_gone") {
    kit.user.gone = [&] { kit.stream.reset(); };
    kit.pair.close_far();
  }
  SUBCASE("on_gone after a broken send") {
    kit.user.gone = [&] { kit.stream.reset(); };
    kit.pair.close_far();
    kit.stream->send(outgoing("x"));
  }
  SUBCASE("on_gone after lingering") {
    kit.user.gone = [&] { kit.stream.reset(); };
    kit.stream->close_after_sent();
    kit.clock.advance(2'000'000'000);
  }
  SUBCASE("on_input of receive_into()") {
    kit.user.input = [&] {
      if (kit.user.inputs == 2) kit.stream.reset();
    };
    kit.pair.write("xy");
    run_rounds(kit.loop, 2);
    kit.stream->receive_into(make_heap_buffer(2), 0);
  }
  run_rounds(kit.loop, 5);
  CHECK_FALSE(kit.stream);
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream: destroyed while its broken connection is still to be told") {
  StreamKit kit;
  kit.start();
  kit.pair.close_far();
  kit.stream->send(outgoing("x"));
  kit.stream.reset();
  run_rounds(kit.loop, 5);
  CHECK(kit.user.gones == 0);
}

TEST_CASE("stream: without memory it waits and tries again") {
  StreamKit kit;
  HeapPool small(ReceiveBlock::kFirstBytes);
  kit.stream =
      std::make_unique<Stream>(kit.loop, make_plain_transport(kit.pair.take_near()), small, kit.user);
  kit.stream->start();
  kit.user.input = [&] { kit.take_input(); };
  BufferRef all = small.try_allocate(ReceiveBlock::kFirstBytes);
  kit.pair.write("waits");
  run_rounds(kit.loop, 5);
  CHECK(kit.user.inputs == 0);
  kit.clock.advance(50'000'000);
  run_rounds(kit.loop, 5);
  CHECK(kit.user.inputs == 0);
  SUBCASE("until there is some") {
    all = {};
    kit.clock.advance(50'000'000);
    run_rounds(kit.loop, 5);
    CHECK(kit.user.inputs == 1);
  }
  SUBCASE("until the other side goes") {
    kit.pair.close_far();
    run_rounds(kit.loop, 5);
    CHECK(kit.user.gones == 1);
  }
  SUBCASE("but a body needs none") {
    const BufferRef block = make_heap_buffer(5);
    kit.stream->receive_into(block, 0);
    kit.clock.advance(50'000'000);
    run_rounds(kit.loop, 5);
    CHECK(kit.user.inputs == 1);
    CHECK(text_of({block->data(), 5}) == "waits");
  }
}

}  // namespace
}  // namespace naiad
