#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bindings/python_object.h"
#include "io/bridge.h"

namespace naiad {

// naiad._core.ControlCall: a gRPC call that Python answers. What it waits for comes over the bridge under its
// number, because the threads that bring it never take the GIL.
class ControlCallObject {
 public:
  // `plane` keeps alive what the call was made by, and `bridge` with it.
  ControlCallObject(std::shared_ptr<void> plane, Bridge& bridge, std::shared_ptr<ControlCall> call,
                    std::uint64_t number);
  // A call that nobody has answered ends with INTERNAL.
  ~ControlCallObject();
  ControlCallObject(const ControlCallObject&) = delete;
  ControlCallObject& operator=(const ControlCallObject&) = delete;

  std::uint64_t number() const { return number_; }
  const ControlCall& call() const { return *call_; }

  void read();
  void write(std::string message);
  void finish(int grpc_status, std::string message);

 private:
  std::shared_ptr<void> plane_;  // first: the call goes before it
  Bridge& bridge_;
  std::shared_ptr<ControlCall> call_;
  const std::uint64_t number_;
  bool finished_ = false;
};

}  // namespace naiad
