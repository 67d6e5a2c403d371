#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/tensor.h"
#include "request/request.h"

namespace naiad {

// The correlation id of a sequence: a number, or a text.
struct SequenceKey {
  std::uint64_t id = 0;
  std::string name;

  static SequenceKey of(const Request& request) { return {request.sequence_id, request.sequence_name}; }
  bool empty() const { return id == 0 && name.empty(); }
  std::string text() const { return name.empty() ? std::to_string(id) : name; }
  friend auto operator<=>(const SequenceKey&, const SequenceKey&) = default;
};

// A sequence that has begun and is not over: its requests run one after the other. Guarded by the mutex of
// its scheduler.
struct Sequence {
  SequenceKey key;
  std::deque<std::unique_ptr<Request>> waiting;  // oldest first
  std::uint64_t due_ns = 0;                      // the earliest deadline of those; 0: none
  bool in_flight = false;                        // one of its requests is with the model
  bool ended = false;                            // takes no more requests
  bool over = false;                             // ended, and nothing of it is left
  std::uint64_t last_active_ns = 0;
  std::shared_ptr<Sequence> before;  // of the same id; this one begins when that is over
  std::optional<std::size_t> slot;   // of the scheduler's; empty: in its backlog
  std::vector<Tensor> states;        // as SequenceSpec::states; not present() before the first response
  Tensor correlation_id;             // made once; not present() where the model has no such input

  bool is_idle() const { return !in_flight && waiting.empty(); }
  bool is_ready() const { return !in_flight && !waiting.empty(); }
  // The deadlines of `waiting`, looked at again.
  void find_due() {
    due_ns = 0;
    for (const auto& request : waiting) note_due(request->deadline_ns);
  }
  void note_due(std::uint64_t deadline_ns) {
    if (deadline_ns != 0 && (due_ns == 0 || deadline_ns < due_ns)) due_ns = deadline_ns;
  }
};

}  // namespace naiad
