#include "engine/response_cache.h"

#include <cstring>
#include <utility>
#include <variant>

#include "engine/response_codec.h"

namespace naiad {
namespace {

// Texts and lists with their lengths: no two requests are written alike.
void write(SipHash128& hash, std::string_view text) {
  hash.update(static_cast<std::uint64_t>(text.size()));
  hash.update(text);
}

void write(SipHash128& hash, const Tensor& tensor) {
  hash.update(static_cast<std::uint64_t>(tensor.dtype));
  if (!tensor.present()) return;
  hash.update(static_cast<std::uint64_t>(tensor.shape.rank()));
  for (const std::int64_t dim : tensor.shape.dims()) hash.update(static_cast<std::uint64_t>(dim));
  hash.update(static_cast<std::uint64_t>(tensor.size_bytes));
  hash.update(tensor.bytes());
}

void write(SipHash128& hash, const Parameter& parameter) {
  write(hash, parameter.name);
  hash.update(static_cast<std::uint64_t>(parameter.value.index()));
  std::visit(
      [&](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
          write(hash, value);
        } else {
          hash.update(std::as_bytes(std::span(&value, 1)));
        }
      },
      parameter.value);
}

Tensor copy(const Tensor& tensor) {
  BufferRef buffer = make_heap_buffer(tensor.size_bytes);
  if (tensor.size_bytes != 0) std::memcpy(buffer->data(), tensor.data, tensor.size_bytes);
  return {tensor.dtype, tensor.shape, buffer->data(), tensor.size_bytes, std::move(buffer)};
}

}  // namespace

ResponseCache::ResponseCache(std::size_t capacity_bytes, std::shared_ptr<ResponseStore> store)
    : capacity_bytes_(capacity_bytes),
      store_(std::move(store)),
      hash_key_(store_ ? store_->hash_key() : random_sip_key()) {}

Digest128 ResponseCache::key_of(const Request& request, std::string_view model_mark) const {
  SipHash128 hash(hash_key_);
  write(hash, model_mark);
  for (const Tensor& input : request.inputs) write(hash, input);
  for (const bool wanted : request.wanted) hash.update(static_cast<std::uint64_t>(wanted));
  hash.update(static_cast<std::uint64_t>(request.parameters.size()));
  for (const Parameter& parameter : request.parameters) write(hash, parameter);
  return hash.digest();
}

std::optional<Response> ResponseCache::find(const Digest128& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->response;
}

bool ResponseCache::look_up(const Digest128& key, std::shared_ptr<const ModelSpec> model, Found found) {
  if (store_ == nullptr) return false;
  return store_->look_up(key, [this, key, model = std::move(model),
                               found = std::move(found)](const std::optional<std::string>& entry) {
    std::optional<Response> response;
    if (entry) {
      response = decode_response(*entry, key, hash_key_, *model);
      if (!response) num_spoiled_.fetch_add(1, std::memory_order_relaxed);
    }
    if (response) insert_here(key, *response);
    found(std::move(response));
  });
}

void ResponseCache::insert(const Digest128& key, const Response& response) {
  if (!response.status.ok()) return;
  insert_here(key, response);
  if (store_ == nullptr) return;
  std::string entry = encode_response(response, key, hash_key_);
  if (!entry.empty()) store_->keep(key, std::move(entry));
}

void ResponseCache::insert_here(const Digest128& key, const Response& response) {
  const std::size_t size_bytes = kEntryBytes + response.size_bytes();
  if (size_bytes > capacity_bytes_) return;
  Entry entry{key, {}, size_bytes};
  entry.response.parameters = response.parameters;
  for (const OutputTensor& output : response.outputs) {
    entry.response.outputs.push_back({output.index, copy(output.tensor)});
  }
  std::list<Entry> gone;  // freed without the lock
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return;
  while (size_bytes_ + size_bytes > capacity_bytes_) {
    size_bytes_ -= entries_.back().size_bytes;
    by_key_.erase(entries_.back().key);
    gone.splice(gone.begin(), entries_, std::prev(entries_.end()));
    num_evicted_.fetch_add(1, std::memory_order_relaxed);
  }
  entries_.push_front(std::move(entry));
  by_key_.emplace(key, entries_.begin());
  size_bytes_ += size_bytes;
}

std::size_t ResponseCache::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return size_bytes_;
}

std::size_t ResponseCache::num_entries() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace naiad
