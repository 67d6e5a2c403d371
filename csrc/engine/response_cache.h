#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/sip_hash.h"
#include "engine/response_store.h"
#include "request/model_spec.h"
#include "request/request.h"

namespace naiad {

// Answers of models that were asked the same before: in memory, bounded in bytes, the least recently used one
// goes first; and in a store beyond this process, where there is one. Any thread.
class ResponseCache {
 public:
  // What is kept beside the tensors of an entry, about: counted with it against the bound.
  static constexpr std::size_t kEntryBytes = 256;

  // Told once, with the answer if there is one.
  using Found = std::function<void(std::optional<Response> response)>;

  // `capacity_bytes`: of what is in memory; 0: nothing is. `store` may be null.
  explicit ResponseCache(std::size_t capacity_bytes, std::shared_ptr<ResponseStore> store = nullptr);

  // All that reaches the model: which one (`model_mark`), the names, data types, shapes and bytes of the
  // inputs, the parameters, the wanted outputs. The request has been admitted.
  Digest128 key_of(const Request& request, std::string_view model_mark) const;

  // The answer that was kept in memory; its tensors share their bytes with the cache.
  std::optional<Response> find(const Digest128& key);

  // Looks for it in the store, for this model; false: there is nowhere to look, or no time, and `found` is
  // not told. What is found is kept in memory too. `found` may be told before this returns.
  bool look_up(const Digest128& key, std::shared_ptr<const ModelSpec> model, Found found);

  // Keeps a copy of a successful answer, in memory and in the store; not one that is larger than the cache.
  void insert(const Digest128& key, const Response& response);

  // Whether answers outlive a load of their model.
  bool has_store() const { return store_ != nullptr; }
  // Entries of the store that were no answers of their model.
  std::uint64_t num_spoiled() const { return num_spoiled_.load(std::memory_order_relaxed); }

  std::size_t capacity_bytes() const { return capacity_bytes_; }
  std::size_t size_bytes() const;
  std::size_t num_entries() const;
  // Entries that had to make room for others.
  std::uint64_t num_evicted() const { return num_evicted_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    Digest128 key;
    Response response;
    std::size_t size_bytes = 0;
  };
  struct HashOfKey {
    std::size_t operator()(const Digest128& key) const { return static_cast<std::size_t>(key.low); }
  };

  void insert_here(const Digest128& key, const Response& response);

  const std::size_t capacity_bytes_;
  const std::shared_ptr<ResponseStore> store_;  // null: there is none
  const SipHash128::Key hash_key_;
  std::atomic<std::uint64_t> num_spoiled_{0};  // pairs with nothing
  std::atomic<std::uint64_t> num_evicted_{0};  // the same
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used one first
  std::unordered_map<Digest128, std::list<Entry>::iterator, HashOfKey> by_key_;
  std::size_t size_bytes_ = 0;
};

}  // namespace naiad
