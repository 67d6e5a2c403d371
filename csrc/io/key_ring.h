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

// The SHA-256 of a key; none: OpenSSL could not compute it. Any thread.
std::optional<ApiKey::Digest> digest_of_key(std::string_view key);

// The keys that are good now. Any thread.
class KeyRing {
 public:
  using Digester = std::optional<ApiKey::Digest> (*)(std::string_view key);

  // What was looked up.
  struct Found {
    std::string name;
    std::uint64_t permissions = 0;
  };

  // `digester`: digest_of_key, or what a test has in its place.
  explicit KeyRing(Digester digester = &digest_of_key) : digester_(digester) {}

  // These alone are good from now on.
  void replace(std::vector<ApiKey> keys);
  // How a key that a client has shown is compared; none: it can't be, and is to be refused.
  std::optional<ApiKey::Digest> digest_of(std::string_view key) const { return digester_(key); }
  // Its entry. Takes as long for one that is good as for any other: every entry is compared, whole.
  std::optional<Found> find(const ApiKey::Digest& digest) const;

 private:
  using Keys = std::vector<ApiKey>;

  const Digester digester_;
  mutable std::mutex mutex_;  // of keys_
  std::shared_ptr<const Keys> keys_ = std::make_shared<Keys>();
};

// Whether both are the same, in a time that tells no more than their lengths. Any thread.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace naiad
