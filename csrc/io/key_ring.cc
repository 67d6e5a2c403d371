#include "io/key_ring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <utility>

namespace naiad {

std::optional<ApiKey::Digest> digest_of_key(std::string_view key) {
  ApiKey::Digest digest{};
  if (EVP_Digest(key.data(), key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return std::nullopt;
  }
  return digest;
}

void KeyRing::replace(std::vector<ApiKey> keys) {
  auto fresh = std::make_shared<const Keys>(std::move(keys));
  const std::lock_guard lock(mutex_);
  keys_.swap(fresh);
}

std::optional<KeyRing::Found> KeyRing::find(const ApiKey::Digest& digest) const {
  std::shared_ptr<const Keys> keys;
  {
    const std::lock_guard lock(mutex_);
    keys = keys_;
  }
  const ApiKey* found = nullptr;
  for (const ApiKey& each : *keys) {
    if (CRYPTO_memcmp(each.digest.data(), digest.data(), digest.size()) == 0) found = &each;
  }
  if (found == nullptr) return std::nullopt;
  return Found{found->name, found->permissions};
}

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace naiad
