// Cancels between a server and its worker, while the other side has more to say than can be read.

#include <doctest/doctest.h>
#include <unistd.h>

#include <thread>

#include "base/clock.h"
#include "execute/worker_life.h"
#include "execute/worker_server.h"
#include "fakes/requests.h"

namespace naiad {
namespace {

using test::RecordingSink;

constexpr std::size_t kArenaBytes = 1 << 20;

// Knows how often something was asked of it.
class CountingHost final : public WorkerHost {
 public:
  std::unique_ptr<WorkerProcess> start(const WorkerFiles&, const std::string&, const Device&) override {
    throw Error(Code::kUnsupported, "nothing is started here");
  }
  Status submit(std::unique_ptr<Request>&, std::uint64_t, bool) override {
    return {Code::kUnsupported, "nobody is called here"};
  }
  void ask(std::string, std::function<void(std::string)>) override { ++num_asked; }

  int num_asked = 0;
};

// Both sides of a worker without a process between them.
struct Sides {
  Sides() {
    life = std::make_shared<WorkerLife>(spec, *pool, clock, host, 1, 0);
    files = life->files();
    for (int* fd : {&files.channel, &files.worker_arena, &files.event}) *fd = dup(*fd);
  }

  const SteadyClock clock;
  std::shared_ptr<TensorPool> pool = make_arena_pool(kArenaBytes);
  const ModelSpec spec = test::row_model(8);
  CountingHost host;
  std::shared_ptr<WorkerLife> life;
  WorkerFiles files;
};

}  // namespace

TEST_CASE("who reads what a worker says comes back while there is more of it") {
  Sides sides;
  Channel worker(sides.files.channel);
  ::close(sides.files.server_arena);
  ::close(sides.files.worker_arena);
  ::close(sides.files.event);
  MessageWriter message;
  message.put(WorkerEvent::kAsk);
  message.put(std::uint64_t{0});
  message.put(std::string_view("logged"));
  for (int i = 0; i < 10; ++i) REQUIRE(worker.events().write(message.bytes()));
  CHECK(sides.life->take_events(4) == WorkerLife::News::kNone);
  CHECK(sides.host.num_asked == 4);
  // The monitor does not go to sleep on the rest.
  CHECK_FALSE(sides.life->channel().events().prepare_sleep());
  sides.life->take_events(SIZE_MAX);
  CHECK(sides.host.num_asked == 10);
}

TEST_CASE("a worker tells of a cancel while answers come faster than it reads them") {
  Sides sides;
  const std::unique_ptr<TensorPool> pool =
      make_arena_pool_of(sides.files.worker_arena, sides.files.worker_arena_bytes);
  WorkerServer worker(sides.files, *pool);
  RecordingSink sink;
  auto request = std::make_unique<Request>();
  request->model_name = "stream";
  request->sink = &sink;
  request->cancelled.store(true);
  REQUIRE(worker.submit(request).ok());

  Channel& channel = sides.life->channel();
  std::vector<std::byte> said;
  REQUIRE(channel.events().read(said, 10'000'000'000) == SharedRing::Outcome::kMessage);
  MessageReader call(said);
  REQUIRE(call.get<std::uint8_t>() == static_cast<std::uint8_t>(WorkerEvent::kCall));
  const auto number = call.get<std::uint64_t>();
  const auto answer = [&](bool is_last) {
    MessageWriter message;
    message.put(WorkerNews::kAnswer);
    message.put(number);
    message.put(static_cast<std::uint8_t>(is_last));
    message.put(std::uint8_t{0});
    message.put(std::uint32_t{0});
    write_response(message, Response(), [](const Tensor&) { return TensorPlace(); });
    return message;
  };
  const MessageWriter one_of_many = answer(false);
  bool is_told = false;
  for (int i = 0; i < 5'000'000 && !is_told; ++i) {
    REQUIRE(channel.news().write(one_of_many.bytes()));
    is_told = channel.events().read(said, 0) == SharedRing::Outcome::kMessage;
  }
  REQUIRE(is_told);
  MessageReader cancel(said);
  CHECK(cancel.get<std::uint8_t>() == static_cast<std::uint8_t>(WorkerEvent::kCallCancel));
  CHECK(cancel.get<std::uint64_t>() == number);
  CHECK(channel.news().write(answer(true).bytes()));
  for (int i = 0; i < 20'000 && sink.size() == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(sink.size() == 1);
  channel.close();
}

}  // namespace naiad
