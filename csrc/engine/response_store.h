#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/sip_hash.h"

namespace naiad {

// Where encoded answers are kept beyond this process. All methods: any thread; they never block.
class ResponseStore {
 public:
  // Told once, by another thread: what was kept under the key, if anything was found in time.
  using Found = std::function<void(std::optional<std::string> entry)>;

  virtual ~ResponseStore() = default;

  // The secret under which keys and entries are hashed, the same for all who share what is kept.
  virtual SipHash128::Key hash_key() const = 0;

  // Begins to look; false: it does not, and `found` is not told.
  virtual bool look_up(const Digest128& key, Found found) = 0;

  // Keeps the entry, or does not where too much waits for that.
  virtual void keep(const Digest128& key, std::string entry) = 0;
};

}  // namespace naiad
