#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ipc/message.h"
#include "memory/tensor.h"
#include "request/model_spec.h"
#include "request/request.h"

namespace naiad {

// What a server and its workers say to each other. Tensors lie in one of two arenas, and a message has their
// places: the server's, which the worker can only read, or the worker's own.

// Worker -> server, in the ring of events.
enum class WorkerEvent : std::uint8_t {
  kReady,       // the model is loaded
  kFailed,      // it cannot be: code, text
  kResponse,    // slot, last, response
  kCall,        // a request for another model: see write_call
  kCallCancel,  // number
  kCallTaken,   // number, bytes: the model has read a response
  kAsk,         // number, text: to be answered with a text; number 0: not to be
};

// Server -> worker, in the ring of news.
enum class WorkerNews : std::uint8_t {
  kAnswer,  // number, last, refused, names of outputs with the first one, response
  kTold,    // number, text: what was asked for
};

// Server -> worker, in the ring of batches.
enum class WorkerOrder : std::uint8_t { kRun, kStop };

// How a request of a batch has come out of execute().
enum class WorkerOutcome : std::uint8_t { kAnswered, kKept };

enum class ArenaName : std::uint8_t { kServer, kWorker };

// Where the bytes of a tensor lie. `slot`: by which who reads them says that it is done.
struct TensorPlace {
  ArenaName arena = ArenaName::kServer;
  std::uint64_t offset = 0;
  std::uint32_t slot = 0;
};

using Placing = std::function<TensorPlace(const Tensor&)>;
// Gives the bytes of a place, checked, and who keeps them alive; throws Error(kInternal).
using Finding = std::function<Tensor(const TensorPlace&, std::size_t size_bytes)>;

void write_tensor(MessageWriter& message, const Tensor& tensor, const Placing& place);
// Checks that data type, shape and size fit each other.
Tensor read_tensor(MessageReader& message, const Finding& find);

// What the worker has to know of its model: names, data types, whether it batches, decouples, iterates,
// which inputs are ragged or made of the batch.
// Without reshapes, which are the server's.
void write_spec(MessageWriter& message, const ModelSpec& spec);
ModelSpec read_spec(MessageReader& message);

void write_parameters(MessageWriter& message, const Parameters& parameters);
Parameters read_parameters(MessageReader& message);

// An admitted request. Its spec and flags are the reader's business.
void write_request(MessageWriter& message, const Request& request, const Placing& place);
void read_request(MessageReader& message, Request& request, const Finding& find);

// `num_outputs`: those that there are.
void write_response(MessageWriter& message, const Response& response, const Placing& place);
Response read_response(MessageReader& message, std::size_t num_outputs, const Finding& find);

// A request that a model makes: as it was given, not yet admitted.
void write_call(MessageWriter& message, const Request& request, const Placing& place);
void read_call(MessageReader& message, Request& request, const Finding& find);

}  // namespace naiad
