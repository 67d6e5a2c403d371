#pragma once

#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/admission.h"
#include "memory/buffer.h"
#include "request/request.h"

namespace naiad::test {

// A model with one FP32 input X and one output Y of any length.
inline ModelSpec row_model(std::uint32_t max_batch_size) {
  ModelSpec spec;
  spec.name = "m";
  spec.max_batch_size = max_batch_size;
  spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"Y", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.max_queue_size = 64;
  return spec;
}

inline Tensor floats(Shape shape, const std::vector<float>& values) {
  BufferRef buffer = make_heap_buffer(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(buffer->data(), values.data(), values.size() * sizeof(float));
  return {DataType::kFp32, std::move(shape), buffer->data(), values.size() * sizeof(float),
          std::move(buffer)};
}

inline std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(tensor.size_bytes / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), tensor.data, tensor.size_bytes);
  return values;
}

// A request to row_model, not admitted: `rows` rows that hold `width` times the value.
inline std::unique_ptr<Request> row_request(std::int64_t rows, std::int64_t width, float value = 0) {
  auto request = std::make_unique<Request>();
  request->model_name = "m";
  const auto count = static_cast<std::size_t>(rows * width);
  request->given_inputs.push_back({"X", floats(Shape{rows, width}, std::vector<float>(count, value))});
  return request;
}

// What came home, in order.
class RecordingSink final : public CompletionSink {
 public:
  struct Home {
    std::unique_ptr<Request> request;
    Response response;
  };

  void respond(const Request&, Response response) noexcept override {
    const std::lock_guard lock(mutex_);
    responses_.push_back(std::move(response));
  }
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    const std::lock_guard lock(mutex_);
    homes_.push_back({std::move(request), std::move(response)});
  }

  // To be read when no more can come.
  std::vector<Home>& homes() { return homes_; }
  // Those before the last of each request.
  std::vector<Response>& responses() { return responses_; }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return homes_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<Home> homes_;
  std::vector<Response> responses_;
};

}  // namespace naiad::test
