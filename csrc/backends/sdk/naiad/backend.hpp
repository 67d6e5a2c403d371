// A backend in C++: a class whose constructor loads a model and whose execute() runs batches of it.
//
//   class Doubler : public naiad::sdk::Instance { ... };
//   NAIAD_BACKEND(Doubler)
//
// Header only, over the C of <naiad/backend.h>; exceptions end at the border and become errors. C++17.
#pragma once

#include <naiad/backend.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace naiad::sdk {

// Thrown by a backend, or by the calls below: a failure with its code.
class Failure : public std::runtime_error {
 public:
  Failure(naiad_code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  naiad_code code() const { return code_; }

 private:
  naiad_code code_;
};

inline const naiad_server*& server() {
  static const naiad_server* given = nullptr;
  return given;
}

inline void log(naiad_log_level level, const std::string& message) {
  server()->log(level, message.c_str());
}

// One batch while it runs. Inputs and outputs are numbered as in the configuration.
class Batch {
 public:
  explicit Batch(naiad_batch* batch) : batch_(batch) {}

  std::uint32_t num_requests() const { return server()->num_requests(batch_); }
  std::uint32_t num_rows() const { return server()->num_rows(batch_); }
  std::uint32_t num_rows(std::uint32_t request) const { return server()->num_rows_of(batch_, request); }
  bool is_cancelled(std::uint32_t request) const { return server()->is_cancelled(batch_, request) != 0; }

  // Of all requests, row after row; `dtype` 0: it is optional and not there. Throws Failure.
  naiad_tensor input(std::uint32_t index) const {
    naiad_tensor tensor{};
    naiad_error error{};
    check(server()->input(batch_, index, &tensor, &error), error);
    return tensor;
  }
  // Of one request.
  naiad_tensor input_of(std::uint32_t request, std::uint32_t index) const {
    naiad_tensor tensor{};
    naiad_error error{};
    check(server()->input_of(batch_, request, index, &tensor), error);
    return tensor;
  }
  // Memory for an output of all requests. Throws Failure.
  void* output(std::uint32_t index, const std::vector<std::int64_t>& shape,
               std::uint64_t size_bytes = 0) const {
    naiad_error error{};
    void* const data = server()->output(batch_, index, shape.data(), static_cast<std::uint32_t>(shape.size()),
                                        size_bytes, &error);
    if (data == nullptr) throw Failure(NAIAD_UNAVAILABLE, error.message);
    return data;
  }
  // For one request.
  void* output_of(std::uint32_t request, std::uint32_t index, const std::vector<std::int64_t>& shape,
                  std::uint64_t size_bytes = 0) const {
    naiad_error error{};
    void* const data = server()->output_of(batch_, request, index, shape.data(),
                                           static_cast<std::uint32_t>(shape.size()), size_bytes, &error);
    if (data == nullptr) throw Failure(NAIAD_UNAVAILABLE, error.message);
    return data;
  }
  void fail(std::uint32_t request, naiad_code code, const std::string& message) const {
    server()->fail(batch_, request, code, message.c_str());
  }

 private:
  static void check(int code, const naiad_error& error) {
    if (code != NAIAD_OK) throw Failure(static_cast<naiad_code>(code), error.message);
  }

  naiad_batch* batch_;
};

// An instance of a model. The thread that makes it uses and destroys it.
class Instance {
 public:
  virtual ~Instance() = default;
  // Gives outputs, or lets requests fail; what it throws fails all that have not failed.
  virtual void execute(Batch& batch) = 0;
};

inline int say(naiad_error* error) {
  try {
    throw;
  } catch (const Failure& failure) {
    std::snprintf(error->message, sizeof error->message, "%s", failure.what());
    return failure.code();
  } catch (const std::exception& failure) {
    std::snprintf(error->message, sizeof error->message, "%s", failure.what());
  } catch (...) {
    std::snprintf(error->message, sizeof error->message, "an exception that is no std::exception");
  }
  return NAIAD_INTERNAL;
}

template <class Made>
const naiad_backend* backend_of(const naiad_server* given) {
  server() = given;
  static const naiad_backend backend{
      NAIAD_BACKEND_API,
      [](const naiad_model* model, void** instance, naiad_error* error) -> int {
        try {
          *instance = static_cast<Instance*>(std::make_unique<Made>(*model).release());
          return NAIAD_OK;
        } catch (...) {
          return say(error);
        }
      },
      [](void* instance, naiad_batch* batch, naiad_error* error) -> int {
        try {
          Batch given_batch(batch);
          static_cast<Instance*>(instance)->execute(given_batch);
          return NAIAD_OK;
        } catch (...) {
          return say(error);
        }
      },
      [](void* instance) { const std::unique_ptr<Instance> dropped(static_cast<Instance*>(instance)); }};
  return given->api == NAIAD_BACKEND_API ? &backend : nullptr;
}

}  // namespace naiad::sdk

// `Made` is constructed with the naiad_model.
#define NAIAD_BACKEND(Made)                                                                \
  extern "C" __attribute__((visibility("default"))) const naiad_backend* naiad_backend_v1( \
      const naiad_server* server) {                                                        \
    return naiad::sdk::backend_of<Made>(server);                                           \
  }

