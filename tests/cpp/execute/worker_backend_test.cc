// A worker's backend against a worker that is a thread of this process, so that sanitizers see both sides:
// one that serves, and some that say whatever comes to their mind. The process that is watched does nothing.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <random>
#include <thread>

#include "base/clock.h"
#include "execute/execution.h"
#include "execute/worker_host.h"
#include "execute/worker_server.h"
#include "fakes/requests.h"
#include "ipc/channel.h"

namespace naiad {
namespace {

using test::RecordingSink;
using test::values_of;

constexpr std::size_t kArenaBytes = 1 << 20;

// Answers Y = X + 1.
class AddOne final : public Backend {
 public:
  void execute(Execution& execution) override {
    const Tensor x = execution.input(0);
    BufferRef block = execution.allocate(x.size_bytes);
    const auto values = values_of(x);
    auto* const out = reinterpret_cast<float*>(block->data());
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i] + 1;
    execution.output(0, {x.dtype, x.shape, block->data(), x.size_bytes, block});
  }
};

using Program = std::function<void(const WorkerFiles&)>;

void serve_well(const WorkerFiles& files) {
  const std::unique_ptr<TensorPool> pool = make_arena_pool_of(files.worker_arena, files.worker_arena_bytes);
  WorkerServer server(files, *pool);
  server.serve([](const InstanceSpec&) { return std::make_unique<AddOne>(); }, "m_0", {});
}

// Runs a program in a thread, under the name of a child process that waits until it is killed.
class ThreadProcess final : public WorkerProcess {
 public:
  ThreadProcess(const Program& program, const WorkerFiles& files) : pid_(fork()) {
    if (pid_ == 0) {
      for (;;) pause();
    }
    WorkerFiles own = files;
    for (int* fd : {&own.channel, &own.server_arena, &own.worker_arena, &own.event}) *fd = dup(*fd);
    program_ = std::jthread([this, program, own] {
      program(own);
      kill();
    });
  }

  int pid() const override { return pid_; }
  void kill() override { ::kill(pid_, SIGKILL); }
  std::string wait() override {
    int status = 0;
    waitpid(pid_, &status, 0);
    return "has ended";
  }

 private:
  const pid_t pid_;
  std::jthread program_;
};

class Host final : public WorkerHost {
 public:
  explicit Host(Program program) : program_(std::move(program)) {}

  std::unique_ptr<WorkerProcess> start(const WorkerFiles& files, const std::string&, const Device&) override {
    ++num_started;
    return std::make_unique<ThreadProcess>(program_, files);
  }
  Status submit(std::unique_ptr<Request>&, std::uint64_t, bool) override {
    return {Code::kUnsupported, "nobody is called here"};
  }
  void ask(std::string, std::function<void(std::string)> told) override { told("{}"); }

  std::atomic<int> num_started{0};

 private:
  const Program program_;
};

struct Scene {
  explicit Scene(Program program, std::uint64_t execute_ns = 0)
      : host(std::make_shared<Host>(std::move(program))) {
    WorkerLimits limits;
    limits.execute_ns = execute_ns;
    limits.stop_ns = 1'000'000'000;
    backend = make_worker_factory(host, limits)({*spec, *pool, "m_0", {}});
  }

  // Runs a request of one row; how it came home.
  RecordingSink::Home run(float value) {
    RecordingSink sink;
    auto request = std::make_unique<Request>();
    request->spec = spec;
    Tensor x = test::floats(Shape{1, 2}, {value, value});
    request->inputs.push_back(std::move(x));
    request->wanted = {true};
    request->num_rows = 1;
    request->sink = &sink;
    std::vector<std::unique_ptr<Request>> requests;
    requests.push_back(std::move(request));
    Execution execution(*spec, std::move(requests), *pool, clock);
    try {
      backend->execute(execution);
    } catch (const Error& error) {
      execution.fail_all(error.status());
    }
    execution.complete();
    // One that is kept comes home by the worker's monitor.
    for (int i = 0; i < 20'000 && sink.size() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    REQUIRE(sink.size() == 1);
    return std::move(sink.homes()[0]);
  }

  const SteadyClock clock;
  std::shared_ptr<TensorPool> pool = make_arena_pool(kArenaBytes);
  std::shared_ptr<const ModelSpec> spec = std::make_shared<const ModelSpec>(test::row_model(8));
  std::shared_ptr<Host> host;
  std::unique_ptr<Backend> backend;
};

}  // namespace

TEST_CASE("a worker runs what comes, in its own memory, and stops when it is told") {
  Scene scene(serve_well);
  for (int i = 0; i < 200; ++i) {
    const auto home = scene.run(static_cast<float>(i));
    REQUIRE(home.response.status.ok());
    const Tensor& y = home.response.outputs[0].tensor;
    CHECK(values_of(y) == std::vector<float>{static_cast<float>(i) + 1, static_cast<float>(i) + 1});
    const std::byte* const begin = scene.pool->arena()->data();
    CHECK((y.data < begin || y.data >= begin + scene.pool->arena()->capacity_bytes()));
  }
  CHECK(scene.host->num_started.load() == 1);
  CHECK(scene.backend->is_healthy());
}

TEST_CASE("whatever a worker says, its batches end, and nothing else happens") {
  // One seed after the other, over all the workers that come and go.
  std::atomic<unsigned> seed{0};
  const auto babble = [&](const WorkerFiles& files) {
    std::mt19937 random(seed.fetch_add(1));
    Channel channel(files.channel);
    Arena arena(files.worker_arena, files.worker_arena_bytes, Arena::Access::kReadWrite);
    ::close(files.server_arena);
    channel.events().wake_by(files.event);
    std::vector<std::byte> message;
    // However late it comes: a worker that ends before it has served is started again with pauses.
    const auto next = [&] {
      SharedRing::Outcome outcome = SharedRing::Outcome::kNothing;
      while (outcome == SharedRing::Outcome::kNothing) outcome = channel.batches().read(message, 50'000'000);
      return outcome == SharedRing::Outcome::kMessage;
    };
    if (!next()) return;  // the model
    MessageWriter ready;
    ready.put(WorkerEvent::kReady);
    channel.events().write(ready.bytes());
    bool is_first = true;  // that one is right: a worker that has never served is started again with pauses
    while (next()) {
      Response response;
      Tensor y;
      y.dtype = DataType::kFp32;
      y.shape = Shape{1, 2};
      y.size_bytes = 8;
      y.data = arena.data();
      response.outputs.push_back({0, y});
      const bool is_right = std::exchange(is_first, false);
      const bool as_event = !is_right && random() % 2 == 0;
      MessageWriter answer;
      if (as_event) {
        answer.put(WorkerEvent::kResponse);
        answer.put(std::uint32_t{0});
        answer.put(std::uint8_t{1});
      } else {
        answer.put(WorkerOutcome::kAnswered);
      }
      write_response(answer, response, [](const Tensor&) { return TensorPlace{ArenaName::kWorker, 0, 3}; });
      std::vector<std::byte> said(answer.bytes().begin(), answer.bytes().end());
      for (unsigned i = is_right ? 0 : random() % 4; i > 0; --i)
        said[random() % said.size()] = static_cast<std::byte>(random());
      if (!is_right && random() % 8 == 0) said.resize(random() % said.size());
      (as_event ? channel.events() : channel.done()).write(said);
      channel.request(0).done.store(1);
      if (as_event) {
        MessageWriter kept;
        kept.put(WorkerOutcome::kKept);
        channel.done().write(kept.bytes());
      }
      if (!is_right && random() % 4 == 0) return;
    }
  };
  Scene scene(babble, 50'000'000);
  int num_right = 0;
  for (int i = 0; i < 300; ++i) {
    const auto home = scene.run(1);
    if (home.response.status.ok()) {
      ++num_right;
    } else {
      INFO(home.response.status.message());
      CHECK(home.response.status.code() == Code::kInternal);
    }
  }
  CHECK(num_right > 0);
  CHECK(scene.host->num_started.load() > 1);
}

}  // namespace naiad
