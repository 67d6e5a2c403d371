#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bindings/python_object.h"
#include "bindings/request_view.h"
#include "execute/backend.h"
#include "memory/device_pool.h"

namespace naiad {

// The Python state of an instance's thread, kept for its life: entering is cheap, and thread-local and
// context variables of the model persist.
class PythonThread {
 public:
  PythonThread() : state_(PyGILState_Ensure()), saved_(PyEval_SaveThread()) {}
  ~PythonThread() {
    PyEval_RestoreThread(saved_);
    PyGILState_Release(state_);
  }
  PythonThread(const PythonThread&) = delete;
  PythonThread& operator=(const PythonThread&) = delete;

  // The GIL, while it lives.
  class Entered {
   public:
    explicit Entered(PythonThread& thread) : thread_(thread) { PyEval_RestoreThread(thread_.saved_); }
    ~Entered() { thread_.saved_ = PyEval_SaveThread(); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    PythonThread& thread_;
  };

 private:
  PyGILState_STATE state_;
  PyThreadState* saved_;
};

// The object that runs a model in Python, on the thread of its instance.
class PythonInstance {
 public:
  // Calls `make`; with a place on a GPU it is told the stream there. Throws what it raised as Error.
  PythonInstance(const py::function& make, const InstanceSpec& spec, bool streams, const DevicePlace* place);
  // Calls finalize().
  ~PythonInstance();
  PythonInstance(const PythonInstance&) = delete;
  PythonInstance& operator=(const PythonInstance&) = delete;

  PythonThread& thread() { return thread_; }
  // Within an Entered of the thread.
  const py::object& object() const { return object_; }
  bool has(const char* attribute) const;
  // Whether it has the attribute, and it is true.
  bool says(const char* attribute) const;
  CallGraph* calls() const { return calls_; }
  // Among the instances that may call models.
  std::uint64_t number() const { return number_; }
  const std::shared_ptr<OpenSenders>& senders() const { return senders_; }

 private:
  PythonThread thread_;
  const std::string name_;
  py::object object_;
  CallGraph* const calls_;
  const std::uint64_t number_;
  const std::shared_ptr<OpenSenders> senders_ = std::make_shared<OpenSenders>();
};

}  // namespace naiad
