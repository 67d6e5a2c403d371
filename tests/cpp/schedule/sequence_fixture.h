#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fakes/requests.h"
#include "schedule/sequence_scheduler.h"

namespace naiad::test {

using Tags = std::vector<std::uint64_t>;

inline constexpr std::uint64_t kMs = 1'000'000;

// X and the controls START, END, READY, CORRID; a state S -> T where `state` is asked for.
struct SequenceFixture {
  explicit SequenceFixture(std::uint32_t max_batch_size, bool direct, std::size_t num_instances = 1,
                           std::size_t max_candidates = 0,
                           const std::function<void(SequenceSpec&)>& change = {}) {
    spec = row_model(max_batch_size);
    sequence.direct = direct;
    sequence.max_candidates = max_candidates;
    sequence.max_idle_ns = 1000 * kMs;
    const Shape one = max_batch_size > 0 ? Shape{1, 1} : Shape{1};
    for (const auto kind : {SequenceControl::kStart, SequenceControl::kEnd, SequenceControl::kReady}) {
      sequence.controls.push_back({kind, spec.inputs.size(), floats(one, {0}), floats(one, {1})});
      spec.inputs.push_back(
          {"C" + std::to_string(spec.inputs.size()), DataType::kFp32, Shape{1}, {}, false, {}, true});
    }
    sequence.controls.push_back({SequenceControl::kCorrelationId, spec.inputs.size(), {}, {}});
    spec.inputs.push_back({"CORRID", DataType::kUint64, Shape{1}, {}, false, {}, true});
    sequence.states.push_back({spec.inputs.size(), spec.outputs.size(), floats(one, {7})});
    spec.inputs.push_back({"S", DataType::kFp32, Shape{1}, {}, false, {}, true});
    spec.outputs.push_back({"T", DataType::kFp32, Shape{1}, {}, false, {}, true});
    if (change) change(sequence);
    spec.sequence = std::make_shared<const SequenceSpec>(sequence);
    shared = std::make_shared<const ModelSpec>(spec);
    scheduler = std::make_unique<SequenceScheduler>(*shared, clock, num_instances);
  }
  ~SequenceFixture() {
    scheduler->close(false);
    for (std::size_t i = 0; i < 8 && scheduler->num_waiting() > 0; ++i) scheduler->try_next(0);
  }

  std::unique_ptr<Request> request(std::uint64_t id, std::uint64_t tag, bool start = false, bool end = false,
                                   std::int64_t width = 2) {
    auto made = row_request(1, width, static_cast<float>(tag));
    if (!shared->batches()) made = row_request(width, 1, static_cast<float>(tag));
    if (!shared->batches()) made->given_inputs[0].tensor.shape = Shape{width};
    made->sequence_id = id;
    made->sequence_start = start;
    made->sequence_end = end;
    made->tag = tag;
    made->sink = &sink;
    admitted(*made);
    return made;
  }
  // As admission leaves it.
  void admitted(Request& made) const {
    made.spec = shared;
    made.inputs.resize(shared->inputs.size());
    made.inputs[0] = made.given_inputs[0].tensor;
    made.wanted = {true, false};
  }
  Status submit(std::unique_ptr<Request> request) {
    Status status = scheduler->try_submit(request);
    if (!status.ok()) refused.push_back(std::move(request));
    return status;
  }
  void push(std::uint64_t id, std::uint64_t tag, bool start = false, bool end = false,
            std::int64_t width = 2) {
    const Status status = submit(request(id, tag, start, end, width));
    CHECK_MESSAGE(status.ok(), status.message());
  }
  // Tags of the batch that can be formed now, 0 for a filler; "nothing" is empty.
  std::vector<std::uint64_t> form(std::size_t instance = 0) {
    auto batch = scheduler->try_next(instance);
    std::vector<std::uint64_t> tags;
    if (!batch) return tags;
    for (auto& request : batch->requests) tags.push_back(request->is_filler ? 0 : request->tag);
    for (auto& gone : batch->dropped) dropped.push_back(std::move(gone));
    running = std::move(batch->requests);
    return tags;
  }
  void finish(float state = 0) {
    for (auto& request : running) {
      Response response;
      if (!request->is_filler && request->wanted[1]) {
        response.outputs.push_back({1, floats(Shape{1, 1}, {state})});
      }
      CompletionSink* const next = request->sink;
      next->complete(std::move(request), std::move(response));
    }
    running.clear();
  }
  std::vector<std::uint64_t> step(std::size_t instance = 0) {
    auto tags = form(instance);
    finish();
    return tags;
  }
  float control(std::size_t k, std::size_t which) { return values_of(running[k]->inputs[1 + which]).at(0); }

  FakeClock clock;
  RecordingSink sink;
  ModelSpec spec;
  SequenceSpec sequence;
  std::shared_ptr<const ModelSpec> shared;
  std::unique_ptr<SequenceScheduler> scheduler;
  std::vector<std::unique_ptr<Request>> running;
  std::vector<std::unique_ptr<Request>> refused;
  std::vector<DroppedRequest> dropped;
};

}  // namespace naiad::test
