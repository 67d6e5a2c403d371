#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace naiad {

// A key that opens something. The key itself is not kept.
struct ApiKey {
  using Digest = std::array<unsigned char, 32>;

  std::string name;               // what the log calls it
  Digest digest{};                // SHA-256 of the key
  std::uint64_t permissions = 0;  // bits of Asked
};

// The keys that are good now. Any thread.
class KeyRing {
 public:
  // What was looked up.
  struct Found {
    std::string name;
    std::uint64_t permissions = 0;
  };

  // These alone are good from now on.
  void replace(std::vector<ApiKey> keys);
  // The entry of a key that a client has shown. Takes as long for one that is good as for any other of its
  // length: every entry is compared, whole.
  std::optional<Found> find(std::string_view key) const;

 private:
  using Keys = std::vector<ApiKey>;

  mutable std::mutex mutex_;  // of keys_
  std::shared_ptr<const Keys> keys_ = std::make_shared<Keys>();
};

// Whether both are the same, in a time that tells no more than their lengths. Any thread.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace naiad
