// The native identity that Triton serves in the side-by-side bench: OUTPUT0 is a copy of INPUT0, with the
// shape and type of the request. One memcpy per input buffer straight into the buffer that Triton's edge gave
// for the output, no state, no allocation of its own per request, statistics reported per request and per
// batch as Triton's own backends do.
//
// The models of the bench have max_batch_size > 0, so shape[0] of an input is its number of rows.

#include <chrono>
#include <cstring>

#include "triton_backend_abi.h"

namespace {

uint64_t now_ns() {
  const auto since_epoch = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count());
}

// What Triton refuses to be told can't be told to anyone else: the error is freed.
void drop(TRITONSERVER_Error* error) {
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

// Copies the only input of `request` into OUTPUT0 of `response`; adds its rows to `num_rows`. The error is
// the caller's.
TRITONSERVER_Error* copy_input(TRITONBACKEND_Request* request, TRITONBACKEND_Response* response,
                               uint64_t& num_rows) {
  TRITONBACKEND_Input* input = nullptr;
  if (auto* error = TRITONBACKEND_RequestInputByIndex(request, 0, &input)) return error;

  TRITONSERVER_DataType datatype = 0;
  const int64_t* shape = nullptr;
  uint32_t num_dims = 0;
  uint64_t size_bytes = 0;
  uint32_t num_buffers = 0;
  if (auto* error = TRITONBACKEND_InputProperties(input, nullptr, &datatype, &shape, &num_dims, &size_bytes,
                                                  &num_buffers)) {
    return error;
  }
  if (num_dims == 0) return TRITONSERVER_ErrorNew(kErrorInternal, "input 0 has no batch dimension");

  TRITONBACKEND_Output* output = nullptr;
  if (auto* error = TRITONBACKEND_ResponseOutput(response, &output, "OUTPUT0", datatype, shape, num_dims))
    return error;

  void* target = nullptr;
  TRITONSERVER_MemoryType target_memory = kMemoryCpu;
  int64_t target_device = 0;
  if (auto* error = TRITONBACKEND_OutputBuffer(output, &target, size_bytes, &target_memory, &target_device))
    return error;
  if (target_memory == kMemoryGpu)
    return TRITONSERVER_ErrorNew(kErrorInternal, "output buffer is in GPU memory");

  uint64_t offset = 0;
  for (uint32_t index = 0; index < num_buffers; ++index) {
    const void* source = nullptr;
    uint64_t source_bytes = 0;
    TRITONSERVER_MemoryType source_memory = kMemoryCpu;
    int64_t source_device = 0;
    if (auto* error =
            TRITONBACKEND_InputBuffer(input, index, &source, &source_bytes, &source_memory, &source_device)) {
      return error;
    }
    if (source_memory == kMemoryGpu)
      return TRITONSERVER_ErrorNew(kErrorInternal, "input buffer is in GPU memory");
    if (source_bytes > size_bytes - offset) {
      return TRITONSERVER_ErrorNew(kErrorInternal, "input buffers are larger than the input");
    }
    std::memcpy(static_cast<char*>(target) + offset, source, source_bytes);
    offset += source_bytes;
  }
  num_rows += static_cast<uint64_t>(shape[0]);
  return nullptr;
}

// Answers one request and gives it back to Triton.
void serve(TRITONBACKEND_ModelInstance* instance, TRITONBACKEND_Request* request, uint64_t exec_start_ns,
           uint64_t& num_rows) {
  TRITONBACKEND_Response* response = nullptr;
  TRITONSERVER_Error* error = TRITONBACKEND_ResponseNew(&response, request);
  const uint64_t compute_start_ns = now_ns();
  if (error == nullptr) error = copy_input(request, response, num_rows);
  const uint64_t compute_end_ns = now_ns();
  const bool success = error == nullptr;
  if (response != nullptr) drop(TRITONBACKEND_ResponseSend(response, kResponseFinal, error));
  drop(error);
  drop(TRITONBACKEND_ModelInstanceReportStatistics(instance, request, success, exec_start_ns,
                                                   compute_start_ns, compute_end_ns, now_ns()));
  drop(TRITONBACKEND_RequestRelease(request, kReleaseAll));
}

}  // namespace

#define NAIAD_EXPORTED extern "C" __attribute__((visibility("default")))

NAIAD_EXPORTED TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend*) {
  uint32_t major = 0;
  uint32_t minor = 0;
  if (auto* error = TRITONBACKEND_ApiVersion(&major, &minor)) return error;
  if (major != kApiMajor || minor < kApiMinor) {
    return TRITONSERVER_ErrorNew(kErrorUnsupported,
                                 "the identity backend needs Triton's backend API 1.9 or a later 1.x");
  }
  return nullptr;
}

NAIAD_EXPORTED TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                                      TRITONBACKEND_Request** requests,
                                                                      const uint32_t num_requests) {
  const uint64_t exec_start_ns = now_ns();
  uint64_t num_rows = 0;
  for (uint32_t index = 0; index < num_requests; ++index)
    serve(instance, requests[index], exec_start_ns, num_rows);
  const uint64_t exec_end_ns = now_ns();
  if (num_rows > 0) {
    drop(TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, num_rows, exec_start_ns, exec_start_ns,
                                                          exec_end_ns, exec_end_ns));
  }
  return nullptr;
}
