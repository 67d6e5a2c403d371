#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "execute/backend.h"
#include "request/request.h"

namespace naiad {

// A child process that hosts an instance of a model.
class WorkerProcess {
 public:
  virtual ~WorkerProcess() = default;
  virtual int pid() const = 0;
  // Ends it at once. Any thread.
  virtual void kill() = 0;
  // Takes it off the system's table once it has ended; blocks until then. How it ended, in words.
  virtual std::string wait() = 0;
};

// What the worker inherits.
struct WorkerFiles {
  int channel = -1;
  int server_arena = -1;  // read-only
  std::size_t server_arena_bytes = 0;
  int worker_arena = -1;
  std::size_t worker_arena_bytes = 0;
  int event = -1;  // an eventfd: there are events
};

// What workers need of the server: made by who knows processes, the engine and Python.
class WorkerHost {
 public:
  virtual ~WorkerHost() = default;

  // Starts a process for the instance. Throws Error. The instance's own monitor thread.
  virtual std::unique_ptr<WorkerProcess> start(const WorkerFiles& files, const std::string& instance_name,
                                               const Device& device) = 0;
  // Submits a request that a model makes. `caller`: the instance that waits for it, or 0; `takes_many`: any
  // number of responses. On failure the request stays with the caller. Any thread; never blocks.
  virtual Status submit(std::unique_ptr<Request>& request, std::uint64_t caller, bool takes_many) = 0;
  // Something else that a model asks of the server, in a text; `told` is called once with the answer, on any
  // thread. Any thread; never blocks.
  virtual void ask(std::string text, std::function<void(std::string)> told) = 0;
};

// How patient the server is with its workers.
struct WorkerLimits {
  std::uint64_t start_ns = 0;    // to load the model; 0: any time
  std::uint64_t execute_ns = 0;  // for a batch; 0: any time
  std::uint64_t stop_ns = 30'000'000'000;
};

// The backend whose instances run in worker processes.
BackendFactory make_worker_factory(std::shared_ptr<WorkerHost> host, WorkerLimits limits);

}  // namespace naiad
