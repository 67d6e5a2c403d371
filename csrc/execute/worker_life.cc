#include "execute/worker_life.h"

#include <cstring>
#include <utility>

#include "base/log.h"
#include "request/response_window.h"

namespace naiad {
namespace {

constexpr std::uint64_t kLookEveryNs = 10'000'000;
constexpr std::chrono::seconds kWaitForEnd{5};

// Before the slot is another request's.
void stop_counting(ResponseWindow* window) {
  if (window != nullptr) window->count_into({}, {});
}

// A tensor in the worker's arena.
class WorkerBuffer final : public Buffer {
 public:
  static BufferRef make(std::shared_ptr<WorkerMemory> memory, std::byte* data, std::size_t size_bytes,
                        std::uint32_t slot) {
    std::unique_ptr<WorkerBuffer> made(new WorkerBuffer(std::move(memory), data, size_bytes, slot));
    return BufferRef::adopt(made.release());
  }

 private:
  WorkerBuffer(std::shared_ptr<WorkerMemory> memory, std::byte* data, std::size_t size_bytes,
               std::uint32_t slot)
      : Buffer(data, size_bytes), memory_(std::move(memory)), slot_(slot) {}
  void release() noexcept override {
    const std::unique_ptr<WorkerBuffer> dropped(this);
    // Release: what this side has read is over before the worker uses the bytes again.
    memory_->channel.released(slot_).store(1, std::memory_order_release);
  }

  const std::shared_ptr<WorkerMemory> memory_;
  const std::uint32_t slot_;
};

}  // namespace

WorkerLife::WorkerLife(const ModelSpec& model, TensorPool& pool, const Clock& clock, WorkerHost& host,
                       std::uint64_t instance, std::uint64_t execute_limit_ns)
    : model_(model),
      pool_(pool),
      clock_(clock),
      host_(host),
      instance_(instance),
      execute_limit_ns_(execute_limit_ns),
      memory_(std::make_shared<WorkerMemory>(pool.arena()->capacity_bytes())),
      answers_(Channel::kNumSlots,
               [memory = memory_](std::size_t slot) -> auto& { return memory->channel.answer_done(slot); }) {
  MessageWriter message;
  write_spec(message, model);
  channel().batches().write(message.bytes());
}

WorkerFiles WorkerLife::files() const {
  WorkerFiles files;
  files.channel = memory_->channel.fd();
  files.server_arena = pool_.arena()->open_read_only();
  files.server_arena_bytes = pool_.arena()->capacity_bytes();
  files.worker_arena = memory_->arena.fd();
  files.worker_arena_bytes = memory_->arena.capacity_bytes();
  files.event = event_.fd();
  return files;
}

std::uint32_t WorkerLife::take_slot(std::size_t k) {
  std::uint32_t number = 0;
  if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else if (slots_.size() == Channel::kNumSlots) {
    throw Error(Code::kUnavailable, "model '" + model_.name + "' holds too many requests; try again later");
  } else {
    number = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  slots_[number].state = State::kInBatch;
  slots_[number].k = k;
  used_.push_back(number);
  Channel::RequestFlags& flags = channel().request(number);
  flags.cancelled.store(0, std::memory_order_relaxed);
  flags.done.store(0, std::memory_order_relaxed);
  flags.taken_responses.store(0, std::memory_order_relaxed);
  flags.taken_bytes.store(0, std::memory_order_relaxed);
  return number;
}

void WorkerLife::count_taken(ResponseWindow* window, std::uint32_t number) {
  if (window == nullptr) return;
  Channel::RequestFlags& flags = channel().request(number);
  window->count_into({memory_, &flags.taken_responses}, {memory_, &flags.taken_bytes});
}

std::shared_ptr<ResponseSender> WorkerLife::let_go(Slot& slot) {
  std::shared_ptr<ResponseSender> sender = std::move(slot.sender);
  stop_counting(sender->window().get());
  slot.state = State::kAnswered;
  --num_kept_;
  return sender;
}

void WorkerLife::collect() {
  std::erase_if(used_, [&](std::uint32_t number) {
    Slot& slot = slots_[number];
    // Acquire: pairs with the worker's release; its reads of the tensors are over.
    if (slot.state != State::kAnswered ||
        channel().request(number).done.load(std::memory_order_acquire) == 0) {
      return false;
    }
    slot = Slot();
    free_.push_back(number);
    return true;
  });
}

TensorPlace WorkerLife::place(const Tensor& tensor, std::vector<BufferRef>& held) {
  const Arena& arena = *pool_.arena();
  const std::byte* data = tensor.data;
  if (tensor.size_bytes == 0) return {};
  if (data < arena.data() || data >= arena.data() + arena.capacity_bytes()) {
    // Made by another worker, or brought by a program in this process.
    BufferRef copy = allocate_output(pool_, tensor.size_bytes);
    std::memcpy(copy->data(), data, tensor.size_bytes);
    data = copy->data();
    held.push_back(std::move(copy));
  } else {
    held.push_back(tensor.owner);
  }
  return {ArenaName::kServer, static_cast<std::uint64_t>(data - arena.data()), 0};
}

Tensor WorkerLife::find(const TensorPlace& place, std::size_t size_bytes) {
  Tensor tensor;
  tensor.size_bytes = size_bytes;
  if (size_bytes == 0) {
    if (place.arena == ArenaName::kWorker && place.slot < Channel::kNumSlots) {
      channel().released(place.slot).store(1, std::memory_order_release);
    }
    return tensor;
  }
  const bool is_own = place.arena == ArenaName::kWorker;
  const Arena& arena = is_own ? memory_->arena : *pool_.arena();
  if ((!is_own && place.arena != ArenaName::kServer) || size_bytes > arena.capacity_bytes() ||
      place.offset > arena.capacity_bytes() - size_bytes || place.slot >= Channel::kNumSlots) {
    MessageReader::malformed();
  }
  std::byte* const data = arena.data() + place.offset;
  tensor.data = data;
  if (is_own) {
    tensor.owner = WorkerBuffer::make(memory_, data, size_bytes, place.slot);
    return tensor;
  }
  // An input of a request that the worker has, handed on: it may be gone before who gets it here is done.
  BufferRef copy = allocate_output(pool_, size_bytes);
  std::memcpy(copy->data(), data, size_bytes);
  tensor.data = copy->data();
  tensor.owner = std::move(copy);
  return tensor;
}

bool WorkerLife::is_right_type(const Response& response) const {
  for (const OutputTensor& output : response.outputs) {
    if (output.tensor.dtype != model_.outputs[output.index].dtype) return false;
  }
  return true;
}

void WorkerLife::run(Execution& execution) {
  MessageWriter message;
  std::vector<std::uint32_t> slots;
  {
    const std::lock_guard lock(mutex_);
    collect();
    write_batch(message, slots, execution);
    execution_ = &execution;
  }
  execution.inputs_ready();
  const std::uint64_t start_ns = clock_.now_ns();
  bool done = channel().batches().write(message.bytes());
  std::vector<std::byte> answer;
  while (done) {
    const SharedRing::Outcome outcome = channel().done().read(answer, kLookEveryNs);
    if (outcome == SharedRing::Outcome::kMessage) {
      done = finish_batch(answer, slots, execution);
      break;
    }
    if (outcome != SharedRing::Outcome::kNothing) {
      if (outcome == SharedRing::Outcome::kBroken) condemn(kNonsense);
      done = false;
      break;
    }
    mark_cancelled(slots, execution);
    if (execute_limit_ns_ != 0 && clock_.now_ns() - start_ns > execute_limit_ns_) {
      condemn("took too long and was ended");
      done = false;
    }
  }
  execution.outputs_ready();
  if (done) {
    has_served_.store(true, std::memory_order_relaxed);
    return;
  }
  event_.signal();
  std::unique_lock lock(mutex_);
  execution_ = nullptr;
  has_ended_.wait_for(lock, kWaitForEnd, [&] { return end_.has_value(); });
  throw Error(Code::kInternal, "model '" + model_.name + "': its worker " + end_.value_or("does not answer") +
                                   " while it ran the request");
}

void WorkerLife::write_batch(MessageWriter& message, std::vector<std::uint32_t>& slots,
                             const Execution& execution) {
  message.put(WorkerOrder::kRun);
  message.put(static_cast<std::uint32_t>(execution.num_requests()));
  try {
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      const std::uint32_t number = take_slot(k);
      slots.push_back(number);
      message.put(number);
      std::vector<BufferRef>& held = slots_[number].held;
      // Rescheduled, it may have responses on their way from before.
      count_taken(execution.request(k).window.get(), number);
      write_request(message, execution.request(k), [&](const Tensor& tensor) { return place(tensor, held); });
    }
  } catch (...) {
    // Nothing of it has been sent.
    for (const std::uint32_t number : slots) {
      stop_counting(execution.request(slots_[number].k).window.get());
      slots_[number] = Slot();
      std::erase(used_, number);
      free_.push_back(number);
    }
    throw;
  }
}

void WorkerLife::mark_cancelled(const std::vector<std::uint32_t>& slots, const Execution& execution) {
  const std::lock_guard lock(mutex_);
  for (const std::uint32_t number : slots) {
    const Slot& slot = slots_[number];
    if (slot.state == State::kInBatch && execution.request(slot.k).is_cancelled()) {
      channel().request(number).cancelled.store(1, std::memory_order_relaxed);
    }
  }
}

bool WorkerLife::finish_batch(std::span<const std::byte> message, const std::vector<std::uint32_t>& slots,
                              Execution& execution) {
  const std::lock_guard lock(mutex_);
  try {
    MessageReader reader(message);
    for (std::size_t k = 0; k < slots.size(); ++k) {
      const std::uint32_t number = slots[k];
      Slot& slot = slots_[number];
      const auto outcome = static_cast<WorkerOutcome>(reader.get<std::uint8_t>());
      if (outcome == WorkerOutcome::kKept) {
        if (slot.state == State::kInBatch) keep(slot, number);
        continue;
      }
      if (outcome != WorkerOutcome::kAnswered || slot.state != State::kInBatch) MessageReader::malformed();
      take_response(execution, k,
                    read_response(reader, model_.outputs.size(),
                                  [&](const TensorPlace& at, std::size_t size) { return find(at, size); }));
      slot.state = State::kAnswered;
      stop_counting(execution.request(k).window.get());
    }
  } catch (const Error& error) {
    log_error(std::string(error.what()) + ": the worker of model '" + model_.name + "' is ended");
    condemn(kNonsense);
    return false;
  }
  execution_ = nullptr;
  return true;
}

void WorkerLife::take_response(Execution& execution, std::size_t k, Response response) {
  if (!is_right_type(response)) MessageReader::malformed();
  if (!response.status.ok()) {
    execution.fail(k, std::move(response.status));
  } else if (response.reschedule) {
    execution.reschedule(k);
  } else {
    for (OutputTensor& output : response.outputs) {
      execution.output(k, output.index, std::move(output.tensor));
    }
    for (Parameter& parameter : response.parameters) execution.parameter(k, std::move(parameter));
  }
}

void WorkerLife::keep(Slot& slot, std::uint32_t number) {
  slot.sender = execution_->keep(slot.k);
  slot.state = State::kKept;
  ++num_kept_;
  count_taken(slot.sender->window().get(), number);
  event_.signal();  // the monitor looks after its cancel
}

bool WorkerLife::tick() {
  answers_.collect();
  bool busy = false;
  {
    const std::lock_guard lock(mutex_);
    collect();
    busy = num_kept_ != 0;
    for (const std::uint32_t number : used_) {
      const Slot& slot = slots_[number];
      if (slot.state == State::kKept && slot.sender->cancelled()) {
        channel().request(number).cancelled.store(1, std::memory_order_relaxed);
      }
    }
  }
  const std::lock_guard lock(news_mutex_);
  while (!unsent_.empty() && channel().news().try_write(unsent_.front().bytes())) unsent_.pop_front();
  // One that is longer than the ring goes in parts, as the worker reads them.
  if (!unsent_.empty() && unsent_.front().bytes().size() >= Channel::kRingBytes / 2) {
    channel().news().write(unsent_.front().bytes());
    unsent_.pop_front();
  }
  return busy || !unsent_.empty();
}

void WorkerLife::order_stop() {
  MessageWriter message;
  message.put(WorkerOrder::kStop);
  // The instance thread has ended, or is about to make its last batch fail: nobody else writes.
  static_cast<void>(channel().batches().try_write(message.bytes()));
}

void WorkerLife::ended(const std::string& how) {
  channel().close();
  std::vector<std::shared_ptr<ResponseSender>> kept;
  {
    const std::lock_guard lock(mutex_);
    end_ = how;
    for (Slot& slot : slots_) {
      if (slot.state == State::kKept) kept.push_back(let_go(slot));
    }
  }
  has_ended_.notify_all();
  for (const auto& sender : kept) {
    Response response;
    response.status = {Code::kInternal,
                       "model '" + model_.name + "': its worker " + how + " before its last response"};
    static_cast<void>(sender->send_now(std::move(response), true));
  }
  const std::lock_guard lock(calls_mutex_);
  for (auto& [number, call] : calls_) call.request->cancelled.store(true, std::memory_order_relaxed);
}

}  // namespace naiad
