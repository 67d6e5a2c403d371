#include "engine/engine.h"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/identity.h"
#include "backends/library_backend.h"
#include "bindings/arrays.h"
#include "bindings/core.h"
#include "bindings/errors.h"
#include "bindings/gathering_sink.h"
#include "bindings/statistics.h"
#include "engine/store_queue.h"

namespace naiad {
namespace {

// naiad._core.Model. Its end may join instance threads, which need the GIL to end: so it is let go without.
class ModelObject {
 public:
  explicit ModelObject(std::shared_ptr<Model> model) : model_(std::move(model)) {}
  ModelObject(const ModelObject&) = delete;
  ModelObject& operator=(const ModelObject&) = delete;
  ~ModelObject() {
    const py::gil_scoped_release release;
    model_.reset();
  }

  const std::shared_ptr<Model>& model() const { return model_; }

 private:
  std::shared_ptr<Model> model_;
};

// A resource in Python: its name and its device, as RateResource has it.
using RateKey = std::pair<std::string, int>;

std::optional<RateLimiter::Limits> limits_of(const std::optional<std::map<RateKey, std::size_t>>& given) {
  if (!given) return std::nullopt;
  RateLimiter::Limits limits;
  for (const auto& [key, count] : *given) limits.emplace(RateResource{key.first, key.second}, count);
  return limits;
}

std::shared_ptr<Core> make_core(std::size_t pool_bytes, std::size_t pinned_bytes,
                                std::size_t max_tensor_bytes, std::shared_ptr<SharedRegions> regions,
                                std::size_t cache_bytes,
                                const std::optional<std::map<RateKey, std::size_t>>& rate_limits,
                                std::shared_ptr<StoreQueue> store,
                                const std::map<int, std::size_t>& gpu_cache_bytes) {
  std::map<int, DevicePoolOptions> pools;
  for (const auto& [device, keep_bytes] : gpu_cache_bytes) pools[device].keep_bytes = keep_bytes;
  DecodeLimits limits;
  limits.max_tensor_bytes = max_tensor_bytes;
  auto core =
      std::make_unique<Core>(make_arena_pool(pool_bytes, pinned_bytes), limits, std::move(regions),
                             cache_bytes, limits_of(rate_limits), std::move(store),
                             std::make_unique<Gpus>(&open_gpu, DevicePoolOptions{}, std::move(pools)));
  // The last owner may be an array on any thread; ending models needs the GIL to be free.
  return {core.release(), [](Core* pointer) {
            const std::unique_ptr<Core> dropped(pointer);
            const py::gil_scoped_acquire gil;
            dropped->bin->empty();
            const py::gil_scoped_release release;
            dropped->engine.close();
          }};
}

py::object infer(const std::shared_ptr<Core>& core, const std::string& model, const std::string& version,
                 const py::dict& inputs, const std::vector<std::string>& outputs, std::string request_id,
                 const py::object& parameters) {
  auto request = make_local_request(core, model, version, inputs, outputs, std::move(request_id), parameters);
  GatheringSink sink(1);
  request->sink = &sink;
  GatheringSink::Home& home = sink.homes().front();
  Status status;
  {
    const py::gil_scoped_release release;
    status = core->engine.submit(request);
    if (status.ok()) {
      sink.wait();
      status = home.response.status;
    }
  }
  py::object result = py::none();
  if (status.ok()) result = make_result(core, *home.request, std::move(home.response));
  home.request.reset();
  request.reset();
  core->bin->empty();
  if (!status.ok()) raise_status(status);
  return result;
}

VersionRoutes make_routes(std::map<std::string, std::int64_t, std::less<>> labels,
                          const std::vector<std::pair<std::int64_t, std::uint32_t>>& shares,
                          std::optional<std::int64_t> shadow, std::uint32_t shadow_percent) {
  VersionRoutes routes{std::move(labels), {}, shadow, shadow_percent};
  for (const auto& [version, weight] : shares) {
    if (weight != 0) routes.shares.push_back({version, weight});
  }
  return routes;
}

}  // namespace

std::unique_ptr<Request> make_local_request(const std::shared_ptr<Core>& core, const std::string& model,
                                            const std::string& version, const py::dict& inputs,
                                            const std::vector<std::string>& outputs, std::string request_id,
                                            const py::object& parameters, Responses responses) {
  std::shared_ptr<Model> target;
  const Status found = core->engine.find(model, version, target);
  if (!found.ok() && !core->engine.can_summon(model)) throw Error(found);
  const ModelSpec* const spec = target ? &target->spec() : nullptr;
  const auto refusal = [&] {
    return "model '" + model +
           "' is decoupled, it may give any number of responses: use stream() or astream()";
  };
  if (spec != nullptr && spec->decoupled && responses == Responses::kOne) {
    throw Error(Code::kUnsupported, refusal());
  }
  auto request = std::make_unique<Request>();
  request->model_name = request->text.emplace_back(model);
  request->model_version = request->text.emplace_back(version);
  // Of a model that is yet to be loaded it is not known now.
  if (spec == nullptr && responses == Responses::kOne) {
    request->refusal_of_many = request->text.emplace_back(refusal());
  }
  request->id = std::move(request_id);
  for (const auto& [key, value] : inputs) {
    const std::string_view name = request->text.emplace_back(key.cast<std::string>());
    const auto index = spec == nullptr ? std::nullopt : spec->input_index(name);
    const DataType expected = index ? spec->inputs[*index].dtype : DataType::kInvalid;
    const auto object = py::reinterpret_borrow<py::object>(value);
    request->given_inputs.push_back(
        {name, tensor_from_python(object, expected, core->engine.pool(), core->bin)});
  }
  for (const std::string& output : outputs) {
    request->wanted_outputs.push_back({request->text.emplace_back(output), 0, {}});
  }
  set_parameters(*request, parameters);
  if (target && target.use_count() == 1) {
    const py::gil_scoped_release release;
    target.reset();
  }
  return request;
}

void register_engine(py::module_& module) {
  py::class_<VersionRoutes>(module, "VersionRoutes")
      .def(py::init(&make_routes), py::kw_only(),
           py::arg("labels") = std::map<std::string, std::int64_t, std::less<>>{},
           py::arg("shares") = std::vector<std::pair<std::int64_t, std::uint32_t>>{},
           py::arg("shadow") = py::none(), py::arg("shadow_percent") = 100);

  py::class_<BackendFactoryObject>(module, "BackendFactory");
  module.def("identity_factory", [] { return BackendFactoryObject{make_identity_factory()}; });
  module.def(
      "library_factory",
      [](const std::string& library_path, std::string config_json, std::string directory,
         std::string options_json) {
        const py::gil_scoped_release release;
        return BackendFactoryObject{make_library_factory(
            library_path, {std::move(config_json), std::move(directory), std::move(options_json)})};
      },
      py::arg("library_path"), py::kw_only(), py::arg("config_json"), py::arg("directory"),
      py::arg("options_json"));
  module.def(
      "python_factory",
      [](py::function make, bool streams) {
        return BackendFactoryObject{make_python_factory(std::move(make), streams)};
      },
      py::arg("make"), py::kw_only(), py::arg("streams") = false);

  py::class_<ModelObject>(module, "Model")
      .def_property_readonly("name", [](const ModelObject& self) { return self.model()->spec().name; })
      .def_property_readonly("version", [](const ModelObject& self) { return self.model()->spec().version; })
      .def_property_readonly("in_flight",
                             [](const ModelObject& self) { return self.model()->num_in_flight(); })
      .def_property_readonly("pending", [](const ModelObject& self) { return self.model()->num_waiting(); })
      .def_property_readonly("healthy",
                             [](const ModelObject& self) {
                               // A share: without the GIL it may be let go of.
                               // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
                               const auto model = self.model();
                               const py::gil_scoped_release release;
                               return model->is_healthy();
                             })
      .def_property_readonly("queue_delay_us",
                             [](const ModelObject& self) -> std::optional<double> {
                               const auto delay_ns = self.model()->found_delay_ns();
                               if (!delay_ns) return std::nullopt;
                               return static_cast<double>(*delay_ns) / 1000;
                             })
      .def("statistics", [](const ModelObject& self) { return statistics_dict(self.model()->statistics()); })
      .def("distributions", [](const ModelObject& self) { return distributions_dict(*self.model()); })
      .def(
          "summaries",
          [](const ModelObject& self, const std::vector<double>& shares) {
            return summaries_dict(*self.model(), shares);
          },
          py::arg("shares"))
      .def("instance_use",
           [](const ModelObject& self) {
             py::list use;
             for (const Model::InstanceUse& each : self.model()->instance_use()) {
               use.append(py::make_tuple(each.name, each.busy_ns, each.process_id));
             }
             return use;
           })
      .def("gpu_use", [](const ModelObject& self) {
        py::list use;
        for (const Model::GpuUse& each : self.model()->gpu_use()) {
          use.append(py::make_tuple(each.device, each.used_bytes, each.peak_bytes, each.limit_bytes));
        }
        return use;
      });
  module.def("histogram_bounds", [] {
    std::vector<double> bounds;
    for (std::size_t i = 0; i < Histogram::kNumBuckets; ++i) bounds.push_back(Histogram::bound_of(i));
    return bounds;
  });

  py::class_<Core, std::shared_ptr<Core>>(module, "Engine")
      .def(py::init(&make_core), py::kw_only(), py::arg("pool_bytes"), py::arg("pinned_bytes") = 0,
           py::arg("max_tensor_bytes") = std::size_t{64} << 20, py::arg("shared_regions") = nullptr,
           py::arg("cache_bytes") = 0, py::arg("rate_limits") = py::none(),
           py::arg("response_store") = nullptr, py::arg("gpu_cache_bytes") = std::map<int, std::size_t>{})
      .def(
          "start",
          [](const std::shared_ptr<Core>& core, const ModelSpec& spec, const BackendFactoryObject& factory,
             const std::vector<InstancePlan>& instances) {
            const py::gil_scoped_release release;
            auto model = core->engine.start(spec, factory.factory, instances);
            return std::make_unique<ModelObject>(std::move(model));
          },
          py::arg("spec"), py::arg("factory"), py::arg("instances"))
      .def(
          "start_ensemble",
          [](const std::shared_ptr<Core>& core, const ModelSpec& spec, const EnsemblePlan& plan) {
            const py::gil_scoped_release release;
            return std::make_unique<ModelObject>(core->engine.start_ensemble(spec, plan));
          },
          py::arg("spec"), py::arg("plan"))
      .def(
          "publish",
          [](const std::shared_ptr<Core>& core, const std::string& name,
             const std::vector<ModelObject*>& models, const std::optional<VersionRoutes>& routes) {
            std::vector<std::shared_ptr<Model>> versions;
            for (const ModelObject* model : models) versions.push_back(model->model());
            const py::gil_scoped_release release;
            core->engine.publish(name, std::move(versions), routes);
          },
          py::arg("name"), py::arg("models"), py::kw_only(), py::arg("routes") = py::none())
      .def(
          "make_ambiguous",
          [](const std::shared_ptr<Core>& core, const std::string& name, std::size_t num_bearers) {
            const py::gil_scoped_release release;
            core->engine.make_ambiguous(name, num_bearers);
          },
          py::arg("name"), py::arg("num_bearers"))
      .def(
          "resize",
          [](const std::shared_ptr<Core>&, const ModelObject& model, const BackendFactoryObject& factory,
             const std::vector<InstancePlan>& instances) {
            const py::gil_scoped_release release;
            model.model()->resize(factory.factory, instances);
          },
          py::arg("model"), py::arg("factory"), py::arg("instances"))
      .def("trim",
           [](const std::shared_ptr<Core>& core) {
             const py::gil_scoped_release release;
             core->engine.trim();
           })
      .def(
          "forget",
          [](const std::shared_ptr<Core>& core, const std::string& name) {
            const py::gil_scoped_release release;
            core->engine.forget(name);
          },
          py::arg("name"))
      .def(
          "stop",
          [](const std::shared_ptr<Core>& core, const ModelObject& model, bool drain) {
            const py::gil_scoped_release release;
            core->engine.stop(*model.model(), drain);
          },
          py::arg("model"), py::kw_only(), py::arg("drain") = true)
      .def("infer", &infer, py::arg("model"), py::arg("version"), py::arg("inputs"), py::kw_only(),
           py::arg("outputs") = std::vector<std::string>{}, py::arg("request_id") = "",
           py::arg("parameters") = py::none())
      .def("usage",
           [](const std::shared_ptr<Core>& core) {
             const PoolUsage usage = core->engine.pool().usage();
             py::dict dict;
             dict["capacity"] = usage.capacity_bytes;
             dict["mapped"] = usage.mapped_bytes;
             dict["used"] = usage.used_bytes;
             dict["pinned"] = usage.pinned_bytes;
             return dict;
           })
      .def("gpu_usage",
           [](const std::shared_ptr<Core>& core) {
             py::list list;
             for (DevicePool* const pool : core->engine.gpus().pools()) {
               const DevicePoolUsage usage = pool->usage();
               py::dict dict;
               dict["device"] = pool->gpu().device();
               dict["uuid"] = pool->gpu().facts().uuid;
               dict["used"] = usage.used_bytes;
               dict["cached"] = usage.cached_bytes;
               dict["kept"] = pool->options().keep_bytes;
               list.append(std::move(dict));
             }
             return list;
           })
      .def("cache_usage",
           [](const std::shared_ptr<Core>& core) -> py::object {
             const ResponseCache* const cache = core->engine.cache();
             if (cache == nullptr || cache->capacity_bytes() == 0) return py::none();
             return py::make_tuple(cache->capacity_bytes(), cache->size_bytes(), cache->num_entries(),
                                   cache->num_evicted());
           })
      .def("spoiled_entries",
           [](const std::shared_ptr<Core>& core) {
             const ResponseCache* const cache = core->engine.cache();
             return cache == nullptr ? 0 : cache->num_spoiled();
           })
      .def("close", [](const std::shared_ptr<Core>& core) {
        {
          const py::gil_scoped_release release;
          core->engine.close();
        }
        core->bin->empty();
      });
}

}  // namespace naiad
