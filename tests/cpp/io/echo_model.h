#pragma once

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "execute/execution.h"
#include "fakes/requests.h"

namespace naiad::test {

// A door that a model waits at. Open at first.
class Gate {
 public:
  void shut() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++num_arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  // Blocks until so many batches have arrived since the start.
  void wait_for_arrivals(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_arrived_ >= count; });
  }
  int num_arrived() {
    const std::lock_guard lock(mutex_);
    return num_arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int num_arrived_ = 0;
};

// Y = X, behind a gate. A row that begins with -1 fails its request.
class EchoBackend final : public Backend {
 public:
  explicit EchoBackend(Gate& gate) : gate_(gate) {}
  void execute(Execution& execution) override {
    const Tensor x = execution.input(0);
    execution.inputs_ready();
    gate_.pass();
    execution.outputs_ready();
    execution.output(0, x);
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      const auto values = values_of(execution.request(k).inputs[0]);
      if (!values.empty() && values.front() == -1) execution.fail(k, {Code::kInvalidArgument, "minus one"});
    }
  }

 private:
  Gate& gate_;
};

// An engine that serves "m" (row_model).
struct EchoEngine {
  explicit EchoEngine(std::size_t pool_bytes = 256 << 20) : engine(make_arena_pool(pool_bytes)) {
    ModelSpec spec = row_model(8);
    model = engine.start(spec, [this](const InstanceSpec&) { return std::make_unique<EchoBackend>(gate); },
                         {{"m_0", {}}});
    engine.publish("m", {model});
  }
  ~EchoEngine() {
    gate.open();
    engine.close();
  }

  Gate gate;
  Engine engine;
  std::shared_ptr<Model> model;
};

inline std::string infer_json(const std::string& data = "1.5,2.0", std::size_t count = 2) {
  return R"({"inputs":[{"name":"X","shape":[1,)" + std::to_string(count) + R"(],"datatype":"FP32","data":[)" +
         data + "]}]}";
}

// The same as binary: the body, and the size of its JSON.
struct BinaryInfer {
  std::string body;
  std::size_t json_size = 0;
  std::string field() const {
    return "Inference-Header-Content-Length: " + std::to_string(json_size) + "\r\n";
  }
};

inline BinaryInfer infer_binary(const std::vector<float>& values) {
  const std::size_t size = values.size() * sizeof(float);
  std::string body = R"({"inputs":[{"name":"X","shape":[1,)" + std::to_string(values.size()) +
                     R"(],"datatype":"FP32","parameters":{"binary_data_size":)" + std::to_string(size) +
                     R"(}}],"outputs":[{"name":"Y","parameters":{"binary_data":true}}]})";
  const std::size_t json_size = body.size();
  body.append(reinterpret_cast<const char*>(values.data()), size);
  return {std::move(body), json_size};
}

inline std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace naiad::test
