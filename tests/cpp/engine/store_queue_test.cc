#include "engine/store_queue.h"

#include <doctest/doctest.h>

#include <map>
#include <thread>

#include "engine/engine.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr SipHash128::Key kSecret{1, 2};

Digest128 key(std::uint64_t number) {
  return {number, 0};
}

struct House {
  // The outcomes of look-ups: "?" before there is one, "-" of a miss.
  bool look(std::uint64_t number) {
    outcomes[number] = "?";
    return queue.look_up(key(number), [this, number](const std::optional<std::string>& entry) {
      outcomes[number] = entry.value_or("-");
    });
  }
  FakeClock clock;
  std::map<std::uint64_t, std::string> outcomes;
  StoreQueue queue{kSecret, clock};
};

// A store as others have it: a map, and a thread that looks into it.
class SharedStore {
 public:
  SharedStore() : queue(std::make_shared<StoreQueue>(kSecret, clock_)) {
    thread_ = std::jthread([this] {
      while (auto work = queue->take()) {
        // What is kept first: what a test asks for behind it is there.
        for (auto& [kept, bytes] : work->entries) entries[kept] = std::move(bytes);
        for (const auto& [ticket, wanted] : work->look_ups) {
          const auto found = entries.find(wanted);
          queue->answer(ticket, found == entries.end() ? std::nullopt : std::optional(found->second));
        }
      }
    });
  }
  ~SharedStore() { end(); }
  void end() {
    queue->close();
    if (thread_.joinable()) thread_.join();
  }
  std::map<Digest128, std::string> entries;  // of the thread
  std::shared_ptr<StoreQueue> queue;

 private:
  SteadyClock clock_;
  std::jthread thread_;
};

class Echo final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

struct Server {
  explicit Server(const SharedStore& store, std::string content, std::size_t cache_bytes = 0)
      : engine(std::make_unique<HeapPool>(), 0, cache_bytes, {}, store.queue) {
    ModelSpec spec = row_model(8);
    spec.cached = true;
    spec.content = std::move(content);
    model = engine.start(spec, [](const InstanceSpec&) { return std::make_unique<Echo>(); }, {{"m_0", {}}});
    engine.publish("m", {model});
  }
  Response ask(float value) {
    auto request = row_request(1, 2, value);
    request->sink = &sink;
    const std::size_t before = sink.size();
    REQUIRE(engine.submit(request).ok());
    while (sink.size() == before) std::this_thread::yield();
    return sink.homes().back().response;
  }
  std::vector<std::uint64_t> counts() const {
    const StatisticsValues values = model->statistics();
    return {values.cache_hit.count, values.cache_miss.count, values.inference_count, values.success.count};
  }
  RecordingSink sink;
  Engine engine;
  std::shared_ptr<Model> model;
};

using Counts = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("store queue: what waits is taken together and answered by its ticket") {
  House house;
  CHECK(house.look(1));
  CHECK(house.look(2));
  house.queue.keep(key(3), "three");
  auto work = house.queue.take();
  REQUIRE(work.has_value());
  REQUIRE(work->look_ups.size() == 2);
  CHECK(work->look_ups[1].key == key(2));
  REQUIRE(work->entries.size() == 1);
  CHECK(work->entries[0].bytes == "three");
  house.queue.answer(work->look_ups[1].ticket, "two");
  CHECK(house.outcomes == std::map<std::uint64_t, std::string>{{1, "?"}, {2, "two"}});
  house.queue.answer(work->look_ups[0].ticket, std::nullopt);
  house.queue.answer(work->look_ups[0].ticket, "late");
  CHECK(house.outcomes[1] == "-");
}

TEST_CASE("store queue: a store that fails rests, and nobody waits for it") {
  House house;
  CHECK(house.look(1));
  house.queue.keep(key(2), "two");
  house.queue.pause(1000);
  CHECK(house.outcomes[1] == "-");
  CHECK_FALSE(house.look(3));
  house.queue.keep(key(4), "four");
  CHECK(house.queue.counts().skipped == 2);
  CHECK(house.queue.counts().dropped == 2);
  house.clock.advance(1000);
  CHECK(house.look(5));
  CHECK(house.queue.take()->look_ups.size() == 1);
}

TEST_CASE("store queue: it is bounded") {
  House house;
  for (std::uint64_t i = 0; i < StoreQueue::kMaxLookUps; ++i) CHECK(house.look(i));
  CHECK_FALSE(house.look(StoreQueue::kMaxLookUps));
  CHECK(house.queue.take()->look_ups.size() == StoreQueue::kMaxWork);
  CHECK_FALSE(house.look(StoreQueue::kMaxLookUps));  // those that are taken count until they are answered
  house.queue.keep(key(1), std::string(StoreQueue::kMaxEntryBytes, 'x'));
  house.queue.keep(key(2), "y");
  CHECK(house.queue.counts().dropped == 1);
}

TEST_CASE("store queue: closed, everything is a miss") {
  House house;
  CHECK(house.look(1));
  const auto work = house.queue.take();
  CHECK(house.look(2));
  house.queue.close();
  CHECK(house.outcomes == std::map<std::uint64_t, std::string>{{1, "-"}, {2, "-"}});
  CHECK_FALSE(house.queue.take().has_value());
  CHECK_FALSE(house.look(3));
  house.queue.answer(work->look_ups[0].ticket, "late");
}

TEST_CASE("with a store, an answer of one server is found by another one that has the same model") {
  SharedStore store;
  {
    Server first(store, "abc");
    first.ask(5);
    first.ask(5);
    CHECK(first.counts() == Counts{1, 1, 1, 2});
  }
  Server same(store, "abc", 1 << 20);
  const Response response = same.ask(5);
  CHECK(values_of(response.outputs[0].tensor) == std::vector<float>{5, 5});
  CHECK(same.counts() == Counts{1, 0, 0, 1});
  same.ask(5);  // now in memory
  CHECK(same.counts() == Counts{2, 0, 0, 2});
  CHECK(same.engine.cache()->num_entries() == 1);
  Server other(store, "abd");
  other.ask(5);
  Server unknown(store, "");
  unknown.ask(5);
  CHECK(other.counts() == Counts{0, 1, 1, 1});
  CHECK(unknown.counts() == Counts{0, 1, 1, 1});
}

TEST_CASE("with a store, an entry that is none is a miss, and so is everything when it has ended") {
  SharedStore store;
  {
    Server server(store, "abc");
    server.ask(5);
    server.ask(5);  // behind which the entry is there
  }
  store.end();
  for (auto& [kept, bytes] : store.entries) bytes[40] ^= 1;
  SharedStore spoiled;
  spoiled.end();
  Server without(spoiled, "abc");
  without.ask(5);
  CHECK(without.counts() == Counts{0, 1, 1, 1});
  CHECK(spoiled.queue->counts().skipped == 1);
  SharedStore again;
  again.entries = store.entries;
  Server server(again, "abc");
  server.ask(5);
  CHECK(server.counts() == Counts{0, 1, 1, 1});
  CHECK(server.engine.cache()->num_spoiled() == 1);
}

TEST_CASE("with a store, a model that ends waits for what is looked up") {
  SteadyClock clock;
  const auto queue = std::make_shared<StoreQueue>(kSecret, clock);
  Engine engine(std::make_unique<HeapPool>(), 0, 0, {}, queue);
  ModelSpec spec = row_model(8);
  spec.cached = true;
  auto model =
      engine.start(spec, [](const InstanceSpec&) { return std::make_unique<Echo>(); }, {{"m_0", {}}});
  engine.publish("m", {model});
  RecordingSink sink;
  auto request = row_request(1, 2, 5);
  request->sink = &sink;
  REQUIRE(engine.submit(request).ok());
  const auto work = queue->take();
  std::jthread stops([&] { engine.stop(*model, true); });
  queue->answer(work->look_ups[0].ticket, std::nullopt);
  stops.join();
  REQUIRE(sink.size() == 1);
  CHECK(sink.homes()[0].response.status.ok());
}
