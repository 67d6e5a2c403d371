#pragma once

#include <memory>

#include "base/error.h"
#include "request/model_spec.h"
#include "request/request.h"
#include "schedule/sequence.h"

namespace naiad {

// What the scheduler adds to the requests of a sequence before the model sees them, and takes from their
// responses: the control inputs and the implicit states. Not thread-safe: with the scheduler's mutex.
class SequenceInputs {
 public:
  // `model.sequence` is given; `model` outlives it.
  explicit SequenceInputs(const ModelSpec& model);

  // Whether the correlation id fits the model's control input; kInvalidArgument otherwise.
  Status check_key(const SequenceKey& key) const;

  // A new sequence of this id, in no state yet.
  std::shared_ptr<Sequence> begin(SequenceKey key) const;

  // Fills in the internal inputs of the request that the sequence runs next, and asks for its states.
  void fill(const Sequence& sequence, Request& request) const;

  // A row without a request: zeros in the shapes of `like`, and not READY.
  std::unique_ptr<Request> filler(const Request& like);

  // Keeps the states that a response brings and leaves in it what the client asked for.
  void keep_states(Sequence& sequence, const Request& request, Response& response) const;

 private:
  Tensor correlation_id(const TensorSpec& input, const SequenceKey& key) const;
  Tensor zeros(DataType dtype, const Shape& shape);

  const ModelSpec& model_;
  const SequenceSpec& spec_;
  BufferRef zeros_;  // as many as were needed so far
};

}  // namespace naiad
