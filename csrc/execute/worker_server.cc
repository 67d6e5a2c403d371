#include "execute/worker_server.h"

#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/thread.h"
#include "execute/execution.h"
#include "request/response_window.h"

namespace naiad {
namespace {

constexpr std::uint64_t kWaitNs = 100'000'000;
constexpr std::uint64_t kLookEveryNs = 20'000'000;

// Shared by all tensors of a request or an answer of the server's: when the last of them goes, the server
// may use the bytes again.
class Share final : public Buffer {
 public:
  static BufferRef make(std::atomic<std::uint32_t>& done) {
    std::unique_ptr<Share> made(new Share(done));
    return BufferRef::adopt(made.release());
  }

 private:
  explicit Share(std::atomic<std::uint32_t>& done) : Buffer(nullptr, 0), done_(done) {}
  void release() noexcept override {
    const std::unique_ptr<Share> dropped(this);
    done_.store(1, std::memory_order_release);  // pairs with the server's acquire, when it collects
  }

  std::atomic<std::uint32_t>& done_;
};

}  // namespace

WorkerServer::WorkerServer(const WorkerFiles& files, TensorPool& pool)
    : channel_(files.channel),
      server_arena_(files.server_arena, files.server_arena_bytes, Arena::Access::kRead),
      pool_(pool),
      outputs_(Channel::kNumSlots, [this](std::size_t slot) -> auto& { return channel_.released(slot); }) {
  channel_.events().wake_by(files.event);
  news_ = start_thread("news", [this] { read_news(); });
}

WorkerServer::~WorkerServer() {
  stopping_.store(true, std::memory_order_relaxed);
}

TensorPlace WorkerServer::place(const Tensor& tensor) {
  if (tensor.size_bytes == 0) return {ArenaName::kServer, 0, 0};
  const auto within = [&](const Arena& arena) {
    return tensor.data >= arena.data() && tensor.data < arena.data() + arena.capacity_bytes();
  };
  if (within(server_arena_)) {
    return {ArenaName::kServer, static_cast<std::uint64_t>(tensor.data - server_arena_.data()), 0};
  }
  const std::byte* const begin = pool_.arena()->data();
  if (within(*pool_.arena())) {
    return {ArenaName::kWorker, static_cast<std::uint64_t>(tensor.data - begin), outputs_.hold(tensor.owner)};
  }
  BufferRef copy = allocate_output(pool_, tensor.size_bytes);
  std::memcpy(copy->data(), tensor.data, tensor.size_bytes);
  const auto offset = static_cast<std::uint64_t>(copy->data() - begin);
  return {ArenaName::kWorker, offset, outputs_.hold(std::move(copy))};
}

Tensor WorkerServer::find(const TensorPlace& place, std::size_t size_bytes, const BufferRef& share) const {
  Tensor tensor;
  tensor.size_bytes = size_bytes;
  tensor.data = server_arena_.data() + place.offset;
  tensor.owner = share;
  return tensor;
}

void WorkerServer::send(const MessageWriter& message) {
  const std::lock_guard lock(events_mutex_);
  static_cast<void>(channel_.events().write(message.bytes()));  // closed: nobody is left to tell
}

void WorkerServer::serve(const BackendFactory& factory, const std::string& instance_name,
                         const Device& device) {
  std::vector<std::byte> message;
  SharedRing::Outcome outcome = SharedRing::Outcome::kNothing;
  while (outcome == SharedRing::Outcome::kNothing) outcome = channel_.batches().read(message, kWaitNs);
  if (outcome != SharedRing::Outcome::kMessage) return;
  MessageReader spec_reader(message);
  model_ = std::make_shared<const ModelSpec>(read_spec(spec_reader));
  std::unique_ptr<Backend> backend;
  MessageWriter begun;
  try {
    InstanceSpec spec{*model_, pool_, instance_name, device};
    spec.calls = &instances_;
    backend = factory(spec);
    begun.put(WorkerEvent::kReady);
  } catch (const Error& error) {
    begun.put(WorkerEvent::kFailed);
    begun.put(static_cast<std::uint8_t>(error.code()));
    begun.put(std::string_view(error.what()));
  }
  send(begun);
  if (backend == nullptr) return;
  for (;;) {
    outcome = channel_.batches().read(message, kWaitNs);
    if (outcome == SharedRing::Outcome::kNothing) continue;
    if (outcome != SharedRing::Outcome::kMessage) return;
    MessageReader reader(message);
    if (static_cast<WorkerOrder>(reader.get<std::uint8_t>()) == WorkerOrder::kStop) break;
    run(reader, *backend);
    if (!backend->is_healthy()) break;  // the server starts another process
  }
  backend.reset();
}

std::unique_ptr<Request> WorkerServer::read_one(MessageReader& message) {
  auto request = std::make_unique<Request>();
  const auto slot = message.get<std::uint32_t>();
  Channel::RequestFlags& flags = channel_.request(slot);
  request->body = Share::make(flags.done);
  read_request(message, *request, [&](const TensorPlace& at, std::size_t size_bytes) {
    return find(at, size_bytes, request->body);
  });
  while (cancels_.size() <= slot) {
    CancelScope& scope = cancels_.emplace_back();
    scope.elsewhere = &channel_.request(cancels_.size() - 1).cancelled;
  }
  request->scope = &cancels_[slot];
  request->spec = model_;
  request->sink = this;
  request->tag = slot;
  if (model_->decoupled) {
    request->window = std::make_shared<ResponseWindow>();
    request->window->follow(flags.taken_responses, flags.taken_bytes);
  }
  return request;
}

void WorkerServer::run(MessageReader& message, Backend& backend) {
  std::vector<std::unique_ptr<Request>> requests(message.get<std::uint32_t>());
  for (auto& request : requests) request = read_one(message);
  const std::size_t count = requests.size();
  Execution execution(*model_, std::move(requests), pool_, clock_);
  try {
    backend.execute(execution);
  } catch (const Error& error) {
    execution.fail_all(error.status());
  }
  done_.clear();
  completing_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  for (std::size_t k = 0; k < count; ++k) {
    if (execution.kept(k))
      done_.put(WorkerOutcome::kKept);
    else
      execution.complete(k);
  }
  completing_.store({}, std::memory_order_relaxed);
  static_cast<void>(channel_.done().write(done_.bytes()));
}

void WorkerServer::respond(const Request& request, Response response) noexcept {
  send_response(request.tag, response, false);
}

void WorkerServer::complete(std::unique_ptr<Request> request, Response response) noexcept {
  if (completing_.load(std::memory_order_relaxed) != std::this_thread::get_id()) {
    send_response(request->tag, response, true);
    return;
  }
  done_.put(WorkerOutcome::kAnswered);
  try {
    write_response(done_, response, [&](const Tensor& tensor) { return place(tensor); });
  } catch (const Error&) {
    // Out of slots for tensors in the midst of a message: the server ends who sends half of one.
    channel_.close();
  }
}

void WorkerServer::send_response(std::uint64_t slot, const Response& response, bool is_last) {
  MessageWriter message;
  const auto begin = [&] {
    message.clear();
    message.put(WorkerEvent::kResponse);
    message.put(static_cast<std::uint32_t>(slot));
    message.put(static_cast<std::uint8_t>(is_last));
  };
  begin();
  try {
    write_response(message, response, [&](const Tensor& tensor) { return place(tensor); });
  } catch (const Error& error) {
    begin();
    Response failed;
    failed.status = error.status();
    write_response(message, failed, [](const Tensor&) { return TensorPlace(); });
  }
  send(message);
}

Status WorkerServer::submit(std::unique_ptr<Request>& request) {
  const bool takes_many = request->refusal_of_many.empty();
  std::uint64_t number = 0;
  MessageWriter message;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_number_;
  }
  message.put(WorkerEvent::kCall);
  message.put(number);
  message.put(static_cast<std::uint8_t>(request->caller_waits));
  message.put(static_cast<std::uint8_t>(takes_many));
  try {
    write_call(message, *request, [&](const Tensor& tensor) { return place(tensor); });
  } catch (const Error& error) {
    return error.status();
  }
  request->window = std::make_shared<ResponseWindow>();
  request->window->on_taken([this, number](std::size_t size_bytes) {
    MessageWriter taken;
    taken.put(WorkerEvent::kCallTaken);
    taken.put(number);
    taken.put(static_cast<std::uint64_t>(size_bytes));
    send(taken);
  });
  {
    const std::lock_guard lock(mutex_);
    calls_.emplace(number, Pending{std::move(request), false});
  }
  send(message);
  return {};
}

std::string WorkerServer::ask(const std::string& text) {
  Question question;
  MessageWriter message;
  std::unique_lock lock(mutex_);
  const std::uint64_t number = ++last_number_;
  questions_.emplace(number, &question);
  lock.unlock();
  message.put(WorkerEvent::kAsk);
  message.put(number);
  message.put(text);
  send(message);
  lock.lock();
  while (!question.told && !channel_.is_closed()) told_.wait_for(lock, std::chrono::milliseconds(100));
  questions_.erase(number);
  if (!question.told) throw Error(Code::kUnavailable, "the server is gone");
  return std::move(question.answer);
}

void WorkerServer::tell(const std::string& text) {
  MessageWriter message;
  message.put(WorkerEvent::kAsk);
  message.put(std::uint64_t{0});
  message.put(text);
  send(message);
}

void WorkerServer::read_news() {
  std::vector<std::byte> message;
  std::uint64_t looked_ns = clock_.now_ns();
  while (!stopping_.load(std::memory_order_relaxed)) {
    bool waits = false;
    {
      const std::lock_guard lock(mutex_);
      waits = !calls_.empty();
    }
    const SharedRing::Outcome outcome = channel_.news().read(message, waits ? kLookEveryNs : kWaitNs);
    // Not only when there is nothing to read: answers may come faster than they are read.
    if (const std::uint64_t now_ns = clock_.now_ns();
        outcome == SharedRing::Outcome::kNothing || now_ns - looked_ns > kLookEveryNs) {
      tell_cancels();
      looked_ns = now_ns;
    }
    if (outcome == SharedRing::Outcome::kNothing) continue;
    if (outcome != SharedRing::Outcome::kMessage) return;
    MessageReader reader(message);
    if (static_cast<WorkerNews>(reader.get<std::uint8_t>()) == WorkerNews::kAnswer) {
      handle_answer(reader);
      continue;
    }
    const auto number = reader.get<std::uint64_t>();
    const std::lock_guard lock(mutex_);
    const auto found = questions_.find(number);
    if (found == questions_.end()) continue;
    found->second->answer = reader.get_text();
    found->second->told = true;
    told_.notify_all();
  }
}

void WorkerServer::handle_answer(MessageReader& message) {
  const auto number = message.get<std::uint64_t>();
  const bool is_last = message.get_bool();
  const bool is_refused = message.get_bool();
  std::vector<TensorSpec> outputs(message.get_count());
  for (TensorSpec& output : outputs) output.name = message.get_text();
  std::unique_ptr<Request> ended;
  Request* request = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(number);
    if (found == calls_.end()) return;
    request = found->second.request.get();
    if (is_last) {
      ended = std::move(found->second.request);
      calls_.erase(found);
    }
  }
  if (!outputs.empty() || request->spec == nullptr) {
    ModelSpec spec;
    spec.outputs = std::move(outputs);
    request->spec = std::make_shared<const ModelSpec>(std::move(spec));
  }
  Response response = read_response(message, request->spec->outputs.size(),
                                    [&](const TensorPlace& at, std::size_t size_bytes) {
                                      return find(at, size_bytes, Share::make(channel_.answer_done(at.slot)));
                                    });
  response.is_refused = is_refused;
  CompletionSink* const sink = request->sink;
  if (is_last) {
    sink->complete(std::move(ended), std::move(response));
    return;
  }
  request->window->sent(response.size_bytes());
  sink->respond(*request, std::move(response));
}

void WorkerServer::tell_cancels() {
  std::vector<std::uint64_t> cancelled;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [number, call] : calls_) {
      if (!call.is_cancelled && call.request->is_cancelled()) {
        call.is_cancelled = true;
        cancelled.push_back(number);
      }
    }
  }
  for (const std::uint64_t number : cancelled) {
    MessageWriter message;
    message.put(WorkerEvent::kCallCancel);
    message.put(number);
    send(message);
  }
}

}  // namespace naiad
