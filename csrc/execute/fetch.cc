#include "execute/fetch.h"

#include <memory>
#include <utility>

#include "execute/device_batch.h"
#include "execute/response_sender.h"

namespace naiad {

Status fetch(Tensor& tensor, TensorPool& pool, Gpus* gpus) {
  if (!tensor.is_on_gpu()) return {};
  if (gpus == nullptr) return {Code::kInternal, "this engine has no GPUs"};
  try {
    Gpu& gpu = gpus->pool(tensor.owner->device().id).gpu();
    BufferRef block = allocate_output(pool, tensor.size_bytes);
    std::unique_ptr<GpuStream> stream;
    std::unique_ptr<GpuEvent> copied;
    check_device(gpu.make_stream(StreamPriority::kDefault, stream), "make a stream");
    check_device(gpu.make_event(copied), "make an event");
    if (tensor.size_bytes != 0) {
      check_device(stream->copy_to_host({block->data(), tensor.size_bytes}, tensor.data), "copy to the host");
      if (const Status marked = copied->record(*stream); !marked.ok()) {
        static_cast<void>(stream->drain());  // no event tells the end of the copy, which writes to the block
        check_device(marked, "mark a stream");
      }
      check_device(copied->wait(), "copy to the host");
    }
    tensor.data = block->data();
    tensor.owner = std::move(block);
    return {};
  } catch (const Error& error) {
    return error.status();
  }
}

std::string unfetched(std::string_view input, std::string_view model, const Status& status) {
  return "input '" + std::string(input) + "' of model '" + std::string(model) +
         "' is on a GPU, the model reads it on the host, and it could not be copied there: " +
         status.message();
}

}  // namespace naiad
