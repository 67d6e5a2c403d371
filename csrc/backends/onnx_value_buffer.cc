#include "backends/onnx_value_buffer.h"

#include <utility>

namespace naiad {
namespace {

class OnnxValueBuffer final : public Buffer {
 public:
  OnnxValueBuffer(std::shared_ptr<const OnnxSession> session, OnnxOwned<ort::Value> value, std::byte* data,
                  std::size_t size_bytes, const Device& device)
      : Buffer(data, size_bytes, device), session_(std::move(session)), value_(std::move(value)) {}
  ~OnnxValueBuffer() override = default;

 private:
  void release() noexcept override { const std::unique_ptr<OnnxValueBuffer> self(this); }

  std::shared_ptr<const OnnxSession> session_;  // first: the value goes before its session
  OnnxOwned<ort::Value> value_;
};

}  // namespace

BufferRef make_onnx_value_buffer(std::shared_ptr<const OnnxSession> session, OnnxOwned<ort::Value> value,
                                 std::size_t size_bytes, const Device& device) {
  void* data = nullptr;
  const OnnxRuntime& runtime = *session->runtime();
  runtime.check(runtime.api().tensor_mutable_data(value.get(), &data));
  auto buffer = std::make_unique<OnnxValueBuffer>(std::move(session), std::move(value),
                                                  static_cast<std::byte*>(data), size_bytes, device);
  return BufferRef::adopt(buffer.release());
}

}  // namespace naiad
