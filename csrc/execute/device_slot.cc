#include "execute/device_slot.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "base/log.h"
#include "execute/left_on_gpu.h"

namespace naiad {
namespace {

// Of what a model may have on a GPU, or of the GPU's memory: what a slot keeps for graphs.
constexpr std::size_t kPartOfGraphs = 8;

// What kernels may count on, as with whatever a GPU allocates. Rows of a batch may lie elsewhere.
constexpr std::size_t kGpuAlignment = 256;

bool is_aligned(const std::byte* data) {
  return reinterpret_cast<std::uintptr_t>(data) % kGpuAlignment == 0;
}

std::unique_ptr<GpuEvent> make_event(Gpu& gpu) {
  std::unique_ptr<GpuEvent> event;
  check_device(gpu.make_event(event), "make an event");
  return event;
}

DevicePool::Stream make_stream(Gpu& gpu, StreamPriority priority) {
  std::unique_ptr<GpuStream> stream;
  check_device(gpu.make_stream(priority, stream), "make a stream");
  return stream;
}

}  // namespace

DeviceStreams DeviceStreams::make(DevicePool& pool, DevicePool::Budget budget, StreamPriority priority) {
  Gpu& gpu = pool.gpu();
  return {{pool, std::move(budget), make_stream(gpu, priority)},
          make_stream(gpu, priority),
          make_stream(gpu, priority)};
}

DeviceSlot::DeviceSlot(const DeviceStreams& streams, std::size_t number)
    : streams_(streams),
      number_(number),
      staged_(make_event(streams.place.pool.gpu())),
      computed_(make_event(streams.place.pool.gpu())),
      finished_(make_event(streams.place.pool.gpu())) {}

DeviceSlot::~DeviceSlot() = default;

template <typename Work>
void DeviceSlot::attempt(const Work& work) {
  try {
    work();
  } catch (const DeviceError& error) {
    failure_ = error.status();
    device_failed_ = true;
  } catch (const Error& error) {
    failure_ = error.status();
  } catch (const std::bad_alloc&) {
    failure_ = {Code::kUnavailable, "the backend ran out of memory"};
  } catch (const std::exception& error) {
    failure_ = {Code::kInternal, error.what()};
  }
}

void DeviceSlot::start(DeviceBackend& backend, Execution& execution) {
  execution_ = &execution;
  batch_.emplace(*this, execution);
  attempt([&] {
    if (execution.model().device.graphs && backend.can_be_captured()) graph_ = graphs_.of(execution);
    stage_inputs();
    execution.inputs_ready();
    compute(backend);
    queue_outputs();
  });
  // What has failed before it was captured is run as it is from then on.
  if (failure_ && graph_ != nullptr && !graph_->graph) graph_->refuse();
  close();
}

void DeviceSlot::close() {
  GpuStream& compute = *streams_.place.stream;
  GpuStream& copy_out = *streams_.copy_out;
  try {
    if (failure_) {
      // Where it stopped is not known: all three streams come to an end here.
      check_device(staged_->record(*streams_.copy_in), "mark a stream");
      check_device(compute.wait(*staged_), "order its streams");
      check_device(computed_->record(compute), "mark a stream");
      check_device(copy_out.wait(*computed_), "order its streams");
    }
    check_device(finished_->record(copy_out), "mark a stream");
  } catch (const Error& error) {
    if (!failure_) failure_ = error.status();
    device_failed_ = true;
    // No event tells the end of what is queued. Where this fails too, nothing runs any more.
    for (const auto& stream : {streams_.copy_in, streams_.place.stream, streams_.copy_out}) {
      static_cast<void>(stream->drain());
    }
  }
}

void DeviceSlot::stage_inputs() {
  GpuStream& compute = *streams_.place.stream;
  // In the order of the device, too, a slot's batches come one after the other.
  check_device(streams_.copy_in->wait(*finished_), "order its streams");
  inputs_.clear();
  for (std::size_t i = 0; i < execution_->model().inputs.size(); ++i) inputs_.push_back(stage(i));
  check_device(staged_->record(*streams_.copy_in), "mark a stream");
  check_device(compute.wait(*staged_), "order its streams");
}

Tensor DeviceSlot::stage(std::size_t index) {
  const ModelSpec& model = execution_->model();
  const TensorSpec& spec = model.inputs[index];
  if (stays_on_host(spec)) return execution_->input(index);
  Tensor tensor = execution_->request(0).inputs[index];
  std::vector<GatherPiece> pieces;
  if (spec.ragged) {
    tensor = execution_->input(index);
    if (tensor.present()) pieces.push_back(piece_of(tensor));
    batch_->keep(tensor.owner);
  } else if (tensor.present()) {
    pieces = pieces_of(index);
    if (model.batches()) tensor.shape[0] = execution_->num_rows();
  }
  if (!tensor.present()) return {};
  tensor.size_bytes = 0;
  for (const GatherPiece& piece : pieces) tensor.size_bytes += piece.size_bytes;
  const bool is_one = pieces.size() == 1 && pieces[0].place == PiecePlace::kGpu;
  if (is_one && is_aligned(tensor.data) && graph_ == nullptr) return tensor;  // it is there already
  BufferRef block = allocate_for_input(index, tensor.size_bytes);
  gather(pieces, block->data());
  tensor.data = block->data();
  tensor.owner = std::move(block);
  return tensor;
}

GatherPiece DeviceSlot::piece_of(const Tensor& tensor) const {
  GatherPiece piece{tensor.data, tensor.size_bytes};
  if (tensor.is_on_gpu()) {
    piece.device = tensor.owner->device().id;
    const bool is_here = piece.device == streams_.place.pool.gpu().device();
    piece.place = is_here ? PiecePlace::kGpu : PiecePlace::kPeer;
  } else if (execution_->pool().is_pinned(tensor.data)) {
    piece.place = PiecePlace::kPinned;
  }
  return piece;
}

std::vector<GatherPiece> DeviceSlot::pieces_of(std::size_t index) const {
  std::vector<GatherPiece> pieces;
  for (std::size_t k = 0; k < execution_->num_requests(); ++k) {
    const Tensor& rows = execution_->request(k).inputs[index];
    GatherPiece piece = piece_of(rows);
    const auto follows = [&] {
      // Views of one buffer, one behind the other: no copy may reach over two ranges that were pinned apart.
      return rows.owner && rows.owner.get() == execution_->request(k - 1).inputs[index].owner.get() &&
             pieces.back().from + pieces.back().size_bytes == piece.from;
    };
    if (k > 0 && follows()) {
      pieces.back().size_bytes += piece.size_bytes;
    } else {
      pieces.push_back(piece);
    }
  }
  return pieces;
}

void DeviceSlot::gather(std::span<const GatherPiece> pieces, std::byte* to) {
  const std::size_t threshold = execution_->model().device.gather_threshold;
  const bool reads_pinned = streams_.place.pool.gpu().facts().reads_pinned;
  const GatherWay way = plan_gather(pieces, threshold, reads_pinned);
  if (way == GatherWay::kThroughHost) {
    std::size_t size_bytes = 0;
    for (const GatherPiece& piece : pieces) size_bytes += piece.size_bytes;
    BufferRef slab = execution_->allocate(size_bytes);
    std::byte* end = slab->data();
    for (const GatherPiece& piece : pieces) {
      if (piece.size_bytes != 0) std::memcpy(end, piece.from, piece.size_bytes);
      end += piece.size_bytes;
    }
    copy({slab->data(), size_bytes, PiecePlace::kPinned}, to);
    batch_->keep(std::move(slab));
    return;
  }
  std::vector<CopyPiece> table;
  for (const GatherPiece& piece : pieces) {
    if (way == GatherWay::kKernel) {
      table.push_back({piece.from, to, piece.size_bytes});
    } else {
      copy(piece, to);
    }
    to += piece.size_bytes;
  }
  if (!table.empty()) check_device(streams_.copy_in->copy_pieces(table), "gather an input");
}

void DeviceSlot::copy(const GatherPiece& piece, std::byte* to) {
  if (piece.size_bytes == 0) return;
  GpuStream& stream = *streams_.copy_in;
  const std::span from(piece.from, piece.size_bytes);
  switch (piece.place) {
    case PiecePlace::kGpu:
      check_device(stream.copy_within(to, from), "copy an input");
      break;
    case PiecePlace::kPeer:
      check_device(stream.copy_from_peer(to, piece.device, from), "copy an input of another GPU");
      break;
    case PiecePlace::kPageable:
    case PiecePlace::kPinned:
      check_device(stream.copy_to_gpu(to, from), "copy an input");
      break;
  }
}

BufferRef DeviceSlot::allocate(std::size_t size_bytes, const DevicePool::Stream& stream) {
  BufferRef block;
  check_device(streams_.place.pool.allocate(size_bytes, stream, streams_.place.budget, block),
               "allocate memory");
  return block;
}

BufferRef DeviceSlot::allocate_for_input(std::size_t index, std::size_t size_bytes) {
  if (graph_ == nullptr) return allocate(size_bytes, streams_.copy_in);
  graph_->inputs.resize(execution_->model().inputs.size());
  BufferRef& kept = graph_->inputs[index];
  if (!kept) kept = allocate(size_bytes, streams_.copy_in);
  return kept;
}

BufferRef DeviceSlot::allocate_for_work(std::size_t size_bytes) {
  if (captures_) {
    if (graph_->num_taken == graph_->blocks.size() ||
        graph_->blocks[graph_->num_taken]->size_bytes() != size_bytes) {
      throw Error(Code::kInternal, "its work asks for other memory each time");
    }
    return graph_->blocks[graph_->num_taken++];
  }
  BufferRef block = allocate(size_bytes, streams_.place.stream);
  if (graph_ != nullptr) graph_->blocks.push_back(block);
  return block;
}

void DeviceSlot::compute(DeviceBackend& backend) {
  if (graph_ != nullptr && graph_->graph) {
    check_device(streams_.place.stream->launch(*graph_->graph), "launch a graph");
    batch_->outputs_ = graph_->outputs;
  } else {
    backend.enqueue(*batch_);
    if (graph_ != nullptr) capture(backend);
  }
  if (graph_ != nullptr) copy_what_stays();
}

void DeviceSlot::capture(DeviceBackend& backend) {
  const DevicePlace& place = streams_.place;
  const std::size_t limit_bytes = place.budget->limit_bytes();
  // Both slots together leave three quarters of what there is to batches.
  const std::size_t most_bytes =
      (limit_bytes != 0 ? limit_bytes : place.pool.gpu().facts().memory_bytes) / kPartOfGraphs;
  if (graphs_.size_bytes() > most_bytes) {
    graph_->refuse();
    return;
  }
  std::string why;
  DeviceBatch again(*this, *execution_);
  Status status = place.stream->begin_capture();
  if (status.ok()) {
    graph_->num_taken = 0;
    captures_ = true;
    try {
      backend.enqueue(again);
    } catch (const std::exception& error) {
      why = error.what();
    }
    captures_ = false;
    status = place.stream->end_capture(graph_->graph);
  }
  if (!status.ok() && why.empty()) why = status.message();
  const auto is_on_host = [](const DeviceBatch::Output& output) { return !output.made.is_on_gpu(); };
  if (why.empty() && std::ranges::any_of(again.outputs_, is_on_host)) why = "an output is made on the host";
  if (why.empty()) {
    graph_->outputs = std::move(again.outputs_);
    return;
  }
  log_warning("model '" + execution_->model().name + "': a batch of " +
              std::to_string(execution_->num_rows()) + " rows can not be captured as a CUDA graph: " + why);
  graph_->refuse();
}

void DeviceSlot::copy_what_stays() {
  for (DeviceBatch::Output& output : batch_->outputs_) {
    if (!output.made.is_on_gpu() || !execution_->is_taken(output.index, true, true)) continue;
    BufferRef block = allocate(output.made.size_bytes, streams_.place.stream);
    check_device(streams_.place.stream->copy_within(block->data(), output.made.bytes()), "copy an output");
    output.made.data = block->data();
    output.made.owner = std::move(block);
  }
}

void DeviceSlot::queue_outputs() {
  GpuStream& copy_out = *streams_.copy_out;
  check_device(computed_->record(*streams_.place.stream), "mark a stream");
  check_device(copy_out.wait(*computed_), "order its streams");
  for (DeviceBatch::Output& output : batch_->outputs_) {
    if (!output.made.is_on_gpu()) continue;
    if (execution_->is_taken(output.index, true, true)) {
      output.left = LeftOnGpu::leave(output.made, streams_.place);
    }
    if (!execution_->is_taken(output.index, false, output.left.present())) continue;
    BufferRef block = execution_->allocate(output.made.size_bytes);
    const std::span to(block->data(), output.made.size_bytes);
    if (!to.empty()) check_device(copy_out.copy_to_host(to, output.made.data), "copy an output");
    output.copied = output.made;
    output.copied.data = block->data();
    output.copied.owner = std::move(block);
  }
}

bool DeviceSlot::finish(DeviceBackend& backend) {
  if (const Status status = finished_->wait(); !status.ok()) {
    device_failed_ = true;
    if (!failure_) failure_ = {Code::kInternal, "the GPU failed: " + status.message()};
  }
  execution_->outputs_ready();
  if (!failure_) deliver(backend);
  if (failure_) execution_->fail_all(*std::exchange(failure_, std::nullopt));
  inputs_.clear();
  batch_.reset();
  graph_ = nullptr;
  execution_ = nullptr;
  return !device_failed_;
}

void DeviceSlot::deliver(DeviceBackend& backend) {
  attempt([&] {
    backend.finish(*batch_);
    for (DeviceBatch::Output& output : batch_->outputs_) {
      if (output.left.present()) {
        execution_->output(output.index, output.copied, output.left);
      } else if (output.copied.present()) {
        execution_->output(output.index, output.copied);
      } else if (!output.made.is_on_gpu() && output.made.present()) {
        execution_->output(output.index, output.made);
      }
    }
  });
}

}  // namespace naiad
