/* The contract between naiad and a backend in a shared library of its own, in C: nothing of it depends on a
 * compiler or a version of the standard library. C++ writes against <naiad/backend.hpp>, which is made of it.
 *
 * The library exports one function, naiad_backend_v1. All text is UTF-8 and ends with a zero. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with each change that an older library could notice. A library says which one it was built for, and
 * is refused when the server has another one. */
#define NAIAD_BACKEND_API 1

/* Data types, numbered as inference.DataType of Triton's model_config.proto. */
enum naiad_dtype {
  NAIAD_BOOL = 1,
  NAIAD_UINT8 = 2,
  NAIAD_UINT16 = 3,
  NAIAD_UINT32 = 4,
  NAIAD_UINT64 = 5,
  NAIAD_INT8 = 6,
  NAIAD_INT16 = 7,
  NAIAD_INT32 = 8,
  NAIAD_INT64 = 9,
  NAIAD_FP16 = 10,
  NAIAD_FP32 = 11,
  NAIAD_FP64 = 12,
  NAIAD_BYTES = 13, /* each element is its length, a little-endian uint32, and so many bytes */
  NAIAD_BF16 = 14
};

/* Why something fails. A server answers each with the status of its protocol. */
enum naiad_code {
  NAIAD_OK = 0,
  NAIAD_INVALID_ARGUMENT = 1,
  NAIAD_NOT_FOUND = 2,
  NAIAD_ALREADY_EXISTS = 3,
  NAIAD_UNAVAILABLE = 4,
  NAIAD_DEADLINE_EXCEEDED = 5,
  NAIAD_UNSUPPORTED = 6,
  NAIAD_CANCELLED = 7,
  NAIAD_INTERNAL = 8,
  NAIAD_UNKNOWN = 9
};

enum naiad_log_level { NAIAD_LOG_INFO = 0, NAIAD_LOG_WARNING = 1, NAIAD_LOG_ERROR = 2 };

/* A view: row-major, 64-byte aligned, in memory of the CPU. It lives as long as the batch it came from. */
typedef struct naiad_tensor {
  uint32_t dtype; /* 0: an optional input that is not there */
  uint32_t rank;
  const int64_t* shape; /* the batch dimension first where the model batches */
  const void* data;
  uint64_t size_bytes;
} naiad_tensor;

/* The requests that run together. It lives until execute() has returned. One thread at a time. */
typedef struct naiad_batch naiad_batch;

/* What is said of a failure: filled in by whoever returns something else than NAIAD_OK. */
typedef struct naiad_error {
  char message[512];
} naiad_error;

/* What the server does for a backend; lives as long as the process. Functions that return an enum naiad_code
 * fill in `error` when it is not NAIAD_OK. Inputs and outputs are numbered as in the configuration. */
typedef struct naiad_server {
  uint32_t api; /* NAIAD_BACKEND_API */
  uint32_t (*num_requests)(const naiad_batch* batch);
  /* Rows of all requests together; 1 where the model does not batch. */
  uint32_t (*num_rows)(const naiad_batch* batch);
  uint32_t (*num_rows_of)(const naiad_batch* batch, uint32_t request);
  /* Whether the client has gone: then nobody reads the answer. */
  int (*is_cancelled)(const naiad_batch* batch, uint32_t request);
  /* An input of all requests, row after row. A single request's bytes are not copied. NAIAD_UNAVAILABLE:
   * there is no memory for it now. */
  int (*input)(naiad_batch* batch, uint32_t index, naiad_tensor* tensor, naiad_error* error);
  /* An input of one request, uncopied; it need not be aligned. */
  int (*input_of)(naiad_batch* batch, uint32_t request, uint32_t index, naiad_tensor* tensor);
  /* Memory for an output of all requests, to be filled in before execute() returns; each of them gets its
   * rows. NULL and `error`: there is none now, or the shape is not the batch's. For NAIAD_BYTES `size_bytes`
   * is what the elements need; for other types it is computed and may be 0. */
  void* (*output)(naiad_batch* batch, uint32_t index, const int64_t* shape, uint32_t rank,
                  uint64_t size_bytes, naiad_error* error);
  /* The same for one request. */
  void* (*output_of)(naiad_batch* batch, uint32_t request, uint32_t index, const int64_t* shape,
                     uint32_t rank, uint64_t size_bytes, naiad_error* error);
  /* One request fails, the others do not. */
  void (*fail)(naiad_batch* batch, uint32_t request, int code, const char* message);
  /* To the server's log. Any thread. */
  void (*log)(int level, const char* message);
} naiad_server;

/* What is loaded; the texts live until create() has returned. */
typedef struct naiad_model {
  const char* name;
  int64_t version;
  const char* config_json;   /* the completed config.pbtxt as JSON */
  const char* directory;     /* of the version: <repository>/<name>/<version> */
  const char* options_json;  /* what --backend-config gave: {"key": "value"} */
  const char* instance_name; /* "<group>_<i>" */
  const char* device_kind;   /* "CPU" */
  int32_t device_id;
} naiad_model;

/* What the backend does. The thread of an instance makes, uses and destroys it; those of several run side by
 * side. Nothing may be thrown through these functions. */
typedef struct naiad_backend {
  uint32_t api; /* NAIAD_BACKEND_API */
  /* Makes an instance. Not NAIAD_OK: the model cannot be loaded, `error` says why. */
  int (*create)(const naiad_model* model, void** instance, naiad_error* error);
  /* Runs a batch: gives outputs, or lets requests fail. Not NAIAD_OK: all that have not failed fail. */
  int (*execute)(void* instance, naiad_batch* batch, naiad_error* error);
  void (*destroy)(void* instance);
} naiad_backend;

/* Exported by the library; called once, when the first model needs it. What it returns lives as long as the
 * process. NULL: the library does not want to. */
typedef const naiad_backend* (*naiad_backend_v1_function)(const naiad_server* server);

#ifdef __cplusplus
}
#endif
