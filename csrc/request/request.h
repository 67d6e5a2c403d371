#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/sip_hash.h"
#include "memory/buffer.h"
#include "memory/shared_window.h"
#include "memory/tensor.h"
#include "request/call_ticket.h"
#include "request/model_spec.h"
#include "request/parameters.h"
#include "request/text_store.h"

namespace naiad {

// An input as the client named it. `name` points into Request::body or Request::text.
struct GivenInput {
  std::string_view name;
  Tensor tensor;
};

// An output that the client asked for by name, and how it wants it written.
struct WantedOutput {
  std::string_view name;
  std::uint32_t num_classes = 0;  // > 0: the classification extension, that many classes
  std::optional<bool> binary;     // v2 HTTP: raw bytes after the JSON; unset = Request::binary_by_default
  SharedWindow shared{};          // given: written there instead of into the response
  bool stays_on_gpu = false;      // who takes it reads it on a GPU: it need not be copied to the host
};

// When a request passed each mark; steady-clock nanoseconds, 0 = not reached.
struct Timestamps {
  std::uint64_t received_ns = 0;
  std::uint64_t queued_ns = 0;
  std::uint64_t compute_start_ns = 0;
};

// How long the parts of an execution took.
struct ComputeTimes {
  std::uint64_t input_ns = 0;
  std::uint64_t infer_ns = 0;
  std::uint64_t output_ns = 0;

  void add(const ComputeTimes& other) {
    input_ns += other.input_ns;
    infer_ns += other.infer_ns;
    output_ns += other.output_ns;
  }
  std::uint64_t total_ns() const { return input_ns + infer_ns + output_ns; }
};

class CompletionSink;
class ResponseWindow;
class Trace;
struct CancelScope;

// One inference request as plain data. It has one owner at a time: a decoder, the queue, a batch, the sink.
struct Request {
  // What the client said; filled in by a decoder of csrc/protocol or by the in-process API.
  std::string_view model_name;
  std::string_view model_version;  // empty: the server chooses
  std::string id;
  std::vector<GivenInput> given_inputs;
  std::vector<WantedOutput> wanted_outputs;  // empty: all
  Parameters parameters;                     // those that are the model's business
  std::uint64_t sequence_id = 0;
  std::string sequence_name;  // a correlation id given as text
  bool sequence_start = false;
  bool sequence_end = false;
  std::uint64_t priority = 0;
  std::uint64_t timeout_us = 0;
  std::uint64_t deadline_ns = 0;  // steady clock; 0 = none. Not begun to run after it
  bool binary_by_default = false;
  bool wants_empty_final = false;  // of a decoupled model: also told of an end that brings no outputs
  // What is said to a request for a decoupled model by who can take one response only; empty: any number is
  // taken. Static text.
  std::string_view refusal_of_many;

  // What the names and tensors above point into.
  BufferRef body;
  TextStore text;

  // What the engine adds on admission.
  std::shared_ptr<const ModelSpec> spec;
  std::vector<Tensor> inputs;  // in the order of spec->inputs, in the model's own shapes; absent
                               // optional ones are not present()
  std::vector<bool> wanted;    // by position in spec->outputs
  std::vector<bool>
      stays_on_gpu;  // the same; those that may be left on the GPU where they were made. Empty: none
  std::uint32_t num_rows = 1;  // the batch dimension; 1 when the model does not batch
  Timestamps timestamps;
  ComputeTimes computed;  // in all its executions; of an ensemble, in all its steps

  // A row of a direct sequence batch that no sequence has a request for: not a client's, counted nowhere.
  bool is_filler = false;
  // A part of a batch that was split: the whole is what counts as a request.
  bool is_part = false;
  // Nothing but its model's name: it comes home, without having been run, once requests can be submitted to
  // the model. See Engine::await_model.
  bool awaits_model_only = false;

  // Under which its answer is kept, of a model whose answers are.
  Digest128 cache_key;

  // When its time in the queue is over, by the policy of its queue; steady clock, 0 = never.
  std::uint64_t expires_ns = 0;

  // The way home.
  CompletionSink* sink = nullptr;
  std::uint64_t tag = 0;                // the sink's own mark
  std::vector<CompletionSink*> beyond;  // while others have put themselves in the way: where it goes then

  // `stop` is on its way home, before where it would go now.
  void pass_by(CompletionSink* stop) {
    beyond.push_back(sink);
    sink = stop;
  }
  // The stop that it is at lets it go on.
  void pass_on() {
    sink = beyond.back();
    beyond.pop_back();
  }
  // Where what `stop` lets through goes next, while the request itself stays: for responses before the last.
  CompletionSink& after(const CompletionSink& stop) const {
    std::size_t left = beyond.size();
    if (sink != &stop) {
      while (beyond[left - 1] != &stop) --left;
      --left;
    }
    return *beyond[left - 1];
  }

  // Null but for the few that are traced.
  std::shared_ptr<Trace> trace;
  // The number of that trace; of a request that a model is about to make, that of the one that it is made
  // for. 0: none.
  std::uint64_t trace_number = 0;
  // Where the request stands in the trace of whoever asked ("traceparent" and "tracestate" of the W3C), for
  // models that ask others; empty where nothing is known of one.
  std::string trace_parent;
  std::string trace_state;

  // Of a request that may be answered many times: what is on its way to the reader; null otherwise. Set
  // before its first response.
  std::shared_ptr<ResponseWindow> window;
  std::size_t num_responses = 0;  // given so far

  // Set by any thread, read before execution (relaxed: a hint, nothing is published with it).
  std::atomic<bool> cancelled{false};
  // Of a request that is made for another one: what cancels it too. It outlives the request. Set before it is
  // queued.
  const CancelScope* scope = nullptr;
  // Of a request that a model makes, or that one leads to: see CallGraph.
  std::shared_ptr<const CallTicket> call;
  bool caller_waits = false;  // the instance that made it can do nothing else meanwhile

  // Whether nobody waits for its answer any more. Any thread.
  bool is_cancelled() const;
};

// What cancels the requests that are made for one of a client's: the client, or who makes them.
struct CancelScope {
  std::atomic<bool> set{false};
  const std::atomic<std::uint32_t>* elsewhere = nullptr;  // set by another process
  const Request* client = nullptr;                        // while they are out

  bool cancelled() const {
    return set.load(std::memory_order_relaxed) ||
           (elsewhere != nullptr && elsewhere->load(std::memory_order_relaxed) != 0) ||
           (client != nullptr && client->is_cancelled());
  }
};

inline bool Request::is_cancelled() const {
  return cancelled.load(std::memory_order_relaxed) || (scope != nullptr && scope->cancelled());
}

// One output of a response.
struct OutputTensor {
  std::size_t index = 0;  // position in spec->outputs
  Tensor tensor;          // in the client's shape
};

struct Response {
  Status status;
  std::vector<OutputTensor> outputs;
  Parameters parameters;
  bool is_empty = false;  // the end of an answer that has been given already: no outputs, nothing but the end
  bool is_refused = false;  // not even queued, by who answers from elsewhere
  bool reschedule = false;  // no answer: the model wants to see the request again (iterative sequences)

  // Of all outputs.
  std::size_t size_bytes() const {
    std::size_t size = 0;
    for (const OutputTensor& output : outputs) size += output.tensor.size_bytes;
    return size;
  }
};

// Where a finished request goes home to. It outlives every request that names it.
class CompletionSink {
 public:
  virtual ~CompletionSink() = default;

  // A response to a request that will have more; none or many of them before the one complete(), in their
  // order and never two at once for one request. The request stays with who runs it until complete() hands it
  // over: who keeps the responses in order with that may look at it meanwhile. For each one that has been
  // taken from the way, request.window is told. Any thread; must not block, throw, or take the GIL.
  virtual void respond(const Request& request, Response response) noexcept = 0;

  // Called once for each request that was queued; takes it back together with its (last) answer. Any thread;
  // must not block, throw, or take the GIL.
  virtual void complete(std::unique_ptr<Request> request, Response response) noexcept = 0;
};

}  // namespace naiad
