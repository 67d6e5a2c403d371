#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <vector>

#include "memory/buffer.h"

namespace naiad {

namespace py = pybind11;

// Python objects that the core is done with, until somebody who holds the GIL drops them. A buffer over a
// Python object may be released by any thread, and an instance thread must not wait for the GIL.
class ReferenceBin {
 public:
  // Takes a reference over. Any thread, without the GIL.
  void put(PyObject* object) noexcept {
    const std::lock_guard lock(mutex_);
    objects_.push_back(object);
  }

  // Drops what has been put. With the GIL.
  void empty() {
    std::vector<PyObject*> objects;
    {
      const std::lock_guard lock(mutex_);
      if (objects_.empty()) return;
      objects.swap(objects_);
    }
    for (PyObject* object : objects) Py_DECREF(object);
  }

 private:
  std::mutex mutex_;
  std::vector<PyObject*> objects_;
};

// The bytes of a Python object as a Buffer which keeps the object alive. With the GIL.
BufferRef make_python_buffer(py::object owner, const void* data, std::size_t size_bytes,
                             std::shared_ptr<ReferenceBin> bin);

// Keeps pool memory alive for a Python object that shows it: the share of the buffer goes first, then the
// engine whose pool it came from.
struct PoolShare {
  std::shared_ptr<void> engine;
  BufferRef buffer;
};

}  // namespace naiad
