#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/python_object.h"
#include "io/access_gate.h"

namespace naiad {
namespace {

ApiGroup group_from(const std::string& name) {
  const auto found = std::ranges::find(kApiGroupNames, name);
  if (found == kApiGroupNames.end()) throw Error(Code::kInvalidArgument, "unknown API group '" + name + "'");
  return static_cast<ApiGroup>(found - kApiGroupNames.begin());
}

using Row = std::tuple<std::string, std::string, std::vector<std::pair<std::string, bool>>>;

std::shared_ptr<RouteTable> make_routes(std::vector<Row> given) {
  std::vector<RouteTable::Row> rows;
  for (auto& [path, group, methods] : given) {
    RouteTable::Row& row = rows.emplace_back();
    row.path = std::move(path);
    row.group = group_from(group);
    for (auto& [name, changes] : methods) row.methods.push_back({std::move(name), changes});
  }
  return std::make_shared<RouteTable>(std::move(rows));
}

py::object find_route(const RouteTable& routes, const std::string& path) {
  std::vector<std::string_view> names;
  const std::size_t row = routes.find(path, names);
  if (row == RouteTable::kNone) return py::none();
  py::list bytes;  // a client may write any
  for (const std::string_view name : names) bytes.append(py::bytes(name.data(), name.size()));
  return py::make_tuple(row, bytes);
}

void replace_keys(KeyRing& ring,
                  const std::vector<std::tuple<std::string, py::bytes, std::uint64_t>>& given) {
  std::vector<ApiKey> keys;
  for (const auto& [name, digest, permissions] : given) {
    const std::string_view bytes = digest;
    ApiKey& key = keys.emplace_back();
    if (bytes.size() != key.digest.size()) {
      throw Error(Code::kInvalidArgument, "the digest of key '" + name + "' should have 32 bytes");
    }
    std::ranges::copy(bytes, key.digest.begin());
    key.name = name;
    key.permissions = permissions;
  }
  ring.replace(std::move(keys));
}

using GivenRestrictions = std::map<std::string, std::pair<std::string, std::string>>;

std::shared_ptr<AccessGate> make_gate(const RouteTable& routes, const GivenRestrictions& given,
                                      const std::string& what, std::shared_ptr<KeyRing> keys,
                                      std::shared_ptr<GuessLimit> guesses, std::uint64_t without_key) {
  AccessGate::Restrictions restrictions;
  for (const auto& [group, field] : given) {
    restrictions[static_cast<std::size_t>(group_from(group))] = {field.first, field.second};
  }
  return std::make_shared<AccessGate>(routes, std::move(restrictions), what, std::move(keys),
                                      std::move(guesses), without_key);
}

const char* name_of(AccessGate::Refusal refusal) {
  switch (refusal) {
    case AccessGate::Refusal::kNone:
      return "";
    case AccessGate::Refusal::kRestricted:
      return "restricted";
    case AccessGate::Refusal::kNoKey:
      return "no key";
    case AccessGate::Refusal::kUnknownKey:
      return "unknown key";
    case AccessGate::Refusal::kForbidden:
      return "forbidden";
    case AccessGate::Refusal::kGuessing:
      return "guessing";
    case AccessGate::Refusal::kUnchecked:
      return "unchecked";
  }
  return "";
}

py::tuple check(const AccessGate& gate, const std::string& method, const std::string& path,
                const std::vector<std::pair<std::string, std::string>>& given, const std::string& client) {
  std::vector<Http1Field> fields;
  for (const auto& [name, value] : given) fields.push_back({name, value});
  const AccessGate::Verdict verdict = gate.check(gate.asked(path, method), fields, client_network(client));
  return py::make_tuple(name_of(verdict.refusal), verdict.key_name, verdict.message, verdict.retry_after_s);
}

}  // namespace

void register_access(py::module_& module) {
  module.attr("API_GROUPS") =
      py::cast(std::vector<std::string>(kApiGroupNames.begin(), kApiGroupNames.end()));
  module.def(
      "permission_bit",
      [](const std::string& group, bool changes) { return Asked{group_from(group), changes}.bit(); },
      py::arg("group"), py::kw_only(), py::arg("changes"));
  py::class_<RouteTable, std::shared_ptr<RouteTable>>(module, "RouteTable")
      .def(py::init(&make_routes), py::arg("rows"))
      .def("find", &find_route, py::arg("path"));
  py::class_<KeyRing, std::shared_ptr<KeyRing>>(module, "KeyRing")
      .def(py::init<>())
      .def("replace", &replace_keys, py::arg("keys"));
  py::class_<GuessLimit, std::shared_ptr<GuessLimit>>(module, "GuessLimit")
      .def(py::init([](std::uint32_t max_guesses) {
             if (max_guesses == 0) throw Error(Code::kInvalidArgument, "max_guesses should be 1 or more");
             return std::make_shared<GuessLimit>(std::make_shared<SteadyClock>(), max_guesses);
           }),
           py::arg("max_guesses"));
  py::class_<AccessGate, std::shared_ptr<AccessGate>>(module, "AccessGate")
      .def(py::init(&make_gate), py::arg("routes"), py::kw_only(), py::arg("restrictions"), py::arg("what"),
           py::arg("keys"), py::arg("guesses"), py::arg("without_key"))
      .def("check", &check, py::arg("method"), py::arg("path"), py::arg("fields"), py::arg("client"));
}

}  // namespace naiad
