#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/sip_hash.h"
#include "request/request.h"

namespace naiad {

// Answers of models that were asked the same before, in memory and bounded in bytes: the least recently used
// one goes first. Any thread.
class ResponseCache {
 public:
  // What is kept beside the tensors of an entry, about: counted with it against the bound.
  static constexpr std::size_t kEntryBytes = 256;

  explicit ResponseCache(std::size_t capacity_bytes);

  // All that reaches the model: which one (`model_mark`, of one load of one version), the names, data types,
  // shapes and bytes of the inputs, the parameters, the wanted outputs. The request has been admitted.
  Digest128 key_of(const Request& request, std::uint64_t model_mark) const;

  // The answer that was kept; its tensors share their bytes with the cache.
  std::optional<Response> find(const Digest128& key);

  // Keeps a copy of a successful answer; not one that is larger than the cache.
  void insert(const Digest128& key, const Response& response);

  std::size_t capacity_bytes() const { return capacity_bytes_; }
  std::size_t size_bytes() const;
  std::size_t num_entries() const;

 private:
  struct Entry {
    Digest128 key;
    Response response;
    std::size_t size_bytes = 0;
  };
  struct HashOfKey {
    std::size_t operator()(const Digest128& key) const { return static_cast<std::size_t>(key.low); }
  };

  const std::size_t capacity_bytes_;
  const SipHash128::Key hash_key_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used one first
  std::unordered_map<Digest128, std::list<Entry>::iterator, HashOfKey> by_key_;
  std::size_t size_bytes_ = 0;
};

}  // namespace naiad
