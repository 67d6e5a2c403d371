#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "echo_model.h"
#include "fakes/comes_true.h"
#include "grpc_client.h"
#include "io/grpc_session.h"
#include "protocol/proto_kit.h"
#include "protocol/proto_reader.h"

namespace naiad::test {

// A ModelInferRequest to the model "m".
inline std::string infer_message(const std::vector<float>& values, std::string_view id = {},
                                 std::string_view model = "m", const std::string& more = {}) {
  std::string message = length_field(1, model);
  if (!id.empty()) message += length_field(3, id);
  message += more;
  message += length_field(5, proto_input("X", "FP32", {1, static_cast<std::int64_t>(values.size())}));
  message += length_field(7, bytes_of(values));
  return message;
}

// What a test looks at in a ModelInferResponse or a ModelStreamInferResponse.
struct InferAnswer {
  std::string error;
  std::string model;
  std::string id;
  std::string raw;
  std::string parameter;  // the name of the last one
  bool valid = true;
};

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline InferAnswer read_answer(std::string_view message) {
  InferAnswer answer;
  ProtoReader reader(std::as_bytes(std::span(message)));
  while (reader.next()) {
    std::span<const std::byte> bytes;
    if (!reader.read_bytes(bytes)) break;
    const std::string text = text_of(bytes);
    if (reader.field() == 1) answer.model = text;
    if (reader.field() == 3) answer.id = text;
    if (reader.field() == 4) answer.parameter = text;
    if (reader.field() == 6) answer.raw = text;
  }
  answer.valid = !reader.failed();
  return answer;
}

inline InferAnswer read_stream_answer(std::string_view message) {
  std::string error;
  std::string response;
  ProtoReader reader(std::as_bytes(std::span(message)));
  while (reader.next()) {
    std::span<const std::byte> bytes;
    if (!reader.read_bytes(bytes)) break;
    (reader.field() == 1 ? error : response) = text_of(bytes);
  }
  InferAnswer answer = read_answer(response);
  answer.error = error;
  answer.valid = answer.valid && !reader.failed();
  return answer;
}

// One I/O thread that serves gRPC on socket pairs.
class GrpcHouse {
 public:
  explicit GrpcHouse(DataPlaneOptions given = {})
      : options(std::move(given)), bytes(options.max_in_flight_bytes) {
    context = std::make_unique<SessionContext>(SessionContext{
        loop, echo.engine, in_flight, bridge, echo.engine.pool(), bytes, options, stopping, coding,
        [this](Session& session) {
          loop.post([this, &session] {
            sessions_.erase(&session);
            num_sessions = sessions_.size();
          });
        },
        counts});
    thread_ = std::thread([this] {
      loop.run();
      sessions_.clear();
    });
  }
  ~GrpcHouse() {
    echo.gate.open();
    loop.stop();
    thread_.join();
  }

  // A client's end of a new connection.
  int connect() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw Error(Code::kInternal, "socketpair");
    fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
    run([&] {
      auto session = make_grpc_session(*context, make_plain_transport(ends[0]));
      Session* const key = session.get();
      sessions_.emplace(key, std::move(session));
      num_sessions = sessions_.size();
    });
    return ends[1];
  }
  // Runs something on the I/O thread and waits for it.
  void run(const std::function<void()>& task) {
    std::promise<void> done;
    loop.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void drain() {
    run([&] {
      for (const auto& [key, session] : sessions_) session->drain();
    });
  }
  // The next call that came over the bridge.
  std::shared_ptr<ControlCall> next_control() {
    while (calls_.empty()) {
      pollfd waiting{bridge.fd(), POLLIN, 0};
      if (poll(&waiting, 1, 20'000) <= 0) return nullptr;
      std::vector<BridgeItem> items;
      bridge.drain(items);
      for (auto& item : items) calls_.push_back(std::get<std::shared_ptr<ControlCall>>(item));
    }
    auto call = calls_.front();
    calls_.erase(calls_.begin());
    return call;
  }
  // The next message of a call; null at its end.
  static std::unique_ptr<std::string> read(ControlCall& call) {
    auto message = std::make_shared<std::promise<std::unique_ptr<std::string>>>();
    call.read([message](std::unique_ptr<std::string> text) { message->set_value(std::move(text)); });
    return message->get_future().get();
  }

  const DataPlaneOptions options;
  EchoEngine echo;
  const SteadyClock clock;
  EventLoop loop{clock};
  InFlight in_flight{loop};
  CodingThread coding{loop, "code"};
  Bridge bridge;
  Budget bytes;
  std::atomic<bool> stopping{false};
  EdgeCounts counts;
  std::atomic<std::size_t> num_sessions{0};
  std::unique_ptr<SessionContext> context;

 private:
  std::map<Session*, std::unique_ptr<Session>> sessions_;
  std::vector<std::shared_ptr<ControlCall>> calls_;
  std::thread thread_;
};

}  // namespace naiad::test
