#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "engine/store_queue.h"

namespace naiad {
namespace py = pybind11;
namespace {

SipHash128::Key secret_of(const std::string& bytes) {
  SipHash128::Key key{};
  if (bytes.size() != sizeof key) {
    throw Error(Code::kInvalidArgument, "the secret of a store has " + std::to_string(sizeof key) +
                                            " bytes, got " + std::to_string(bytes.size()));
  }
  std::memcpy(key.data(), bytes.data(), sizeof key);
  return key;
}

py::bytes bytes_of(const Digest128& key) {
  const std::array<std::uint64_t, 2> words{key.low, key.high};
  return {reinterpret_cast<const char*>(words.data()), sizeof words};
}

const Clock& steady_clock() {
  static const SteadyClock clock;
  return clock;
}

py::object take(StoreQueue& queue) {
  std::optional<StoreQueue::Work> work;
  {
    const py::gil_scoped_release release;
    work = queue.take();
  }
  if (!work) return py::none();
  py::list look_ups;
  for (const auto& [ticket, key] : work->look_ups) look_ups.append(py::make_tuple(ticket, bytes_of(key)));
  py::list entries;
  for (const auto& [key, bytes] : work->entries) {
    entries.append(py::make_tuple(bytes_of(key), py::bytes(bytes)));
  }
  return py::make_tuple(std::move(look_ups), std::move(entries));
}

void answer(StoreQueue& queue, const std::vector<std::pair<std::uint64_t, std::optional<py::bytes>>>& found) {
  std::vector<std::pair<std::uint64_t, std::optional<std::string>>> entries;
  entries.reserve(found.size());
  for (const auto& [ticket, bytes] : found) {
    entries.emplace_back(ticket, bytes ? std::optional<std::string>(*bytes) : std::nullopt);
  }
  const py::gil_scoped_release release;
  for (auto& [ticket, entry] : entries) queue.answer(ticket, std::move(entry));
}

}  // namespace

void register_response_store(py::module_& module) {
  py::class_<StoreQueue, std::shared_ptr<StoreQueue>>(module, "StoreQueue")
      .def(py::init([](const std::string& secret) {
             return std::make_shared<StoreQueue>(secret_of(secret), steady_clock());
           }),
           py::arg("secret"))
      .def("take", &take)
      .def("answer", &answer, py::arg("found"))
      .def(
          "pause",
          [](StoreQueue& queue, double seconds) { queue.pause(static_cast<std::uint64_t>(seconds * 1e9)); },
          py::arg("seconds"), py::call_guard<py::gil_scoped_release>())
      .def("close", &StoreQueue::close, py::call_guard<py::gil_scoped_release>())
      .def("counts", [](const StoreQueue& queue) {
        const StoreQueue::Counts counts = queue.counts();
        return py::make_tuple(counts.skipped, counts.dropped);
      });
}

}  // namespace naiad
