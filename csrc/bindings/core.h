#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python_object.h"
#include "engine/engine.h"
#include "execute/backend.h"
#include "memory/shared_regions.h"
#include "protocol/v2_http.h"

namespace naiad {

// What a naiad._core.Engine is made of. Shared by all Python objects that show its memory.
struct Core {
  Core(std::unique_ptr<TensorPool> pool, DecodeLimits decode_limits,
       std::shared_ptr<SharedRegions> shared_regions, std::size_t cache_bytes,
       std::optional<RateLimiter::Limits> rate_limits, std::shared_ptr<ResponseStore> store,
       std::unique_ptr<Gpus> gpus = std::make_unique<Gpus>())
      : bin(std::make_shared<ReferenceBin>()),
        regions(std::move(shared_regions)),
        engine(std::move(pool), Engine::kInlineLimitNs, cache_bytes, std::move(rate_limits), std::move(store),
               std::move(gpus)),
        limits(std::move(decode_limits)) {
    limits.regions = regions.get();
    limits.reads_on_gpu = [this](std::string_view model, std::string_view input) {
      return engine.reads_on_gpu(model, input);
    };
  }

  std::shared_ptr<ReferenceBin> bin;       // first: buffers of the engine's requests still put things in it
  std::shared_ptr<SharedRegions> regions;  // null: client shared memory is off
  Engine engine;
  DecodeLimits limits;
};

// The argument types of Engine.start, as opaque Python objects.
struct BackendFactoryObject {
  BackendFactory factory;
};

// Whether who asks can take any number of responses; a decoupled model is refused (kUnsupported) otherwise.
enum class Responses : unsigned char { kOne, kMany };

// Fills a request from in-process inputs and options. Throws Error. With the GIL.
std::unique_ptr<Request> make_local_request(const std::shared_ptr<Core>& core, const std::string& model,
                                            const std::string& version, const py::dict& inputs,
                                            const std::vector<std::string>& outputs, std::string request_id,
                                            const py::object& parameters,
                                            Responses responses = Responses::kOne);

// naiad._core.Result of an answered request. With the GIL.
py::object make_result(const std::shared_ptr<Core>& core, const Request& request, Response response);

// A Python value of a parameter, and back; the latter throws Error(kInvalidArgument). With the GIL.
py::object to_python(const ParameterValue& value);
py::dict to_python(const Parameters& parameters);
ParameterValue parameter_from_python(const std::string& name, const py::handle& value);
// From a dict or None.
void set_parameters(Request& request, const py::object& parameters);

// The factory that calls `make` on each instance's thread; see PythonInstance in _core.pyi. `streams`: it is
// told the stream of an instance on a GPU, which may have a DeviceInstance there. With the GIL.
BackendFactory make_python_factory(py::function make, bool streams = false);

}  // namespace naiad
