#include "io/key_ring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <utility>

#include "base/error.h"

namespace naiad {
namespace {

ApiKey::Digest digest_of(std::string_view key) {
  ApiKey::Digest digest{};
  if (EVP_Digest(key.data(), key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw Error(Code::kInternal, "SHA-256 is not available");
  }
  return digest;
}

}  // namespace

void KeyRing::replace(std::vector<ApiKey> keys) {
  auto fresh = std::make_shared<const Keys>(std::move(keys));
  const std::lock_guard lock(mutex_);
  keys_.swap(fresh);
}

std::optional<KeyRing::Found> KeyRing::find(std::string_view key) const {
  std::shared_ptr<const Keys> keys;
  {
    const std::lock_guard lock(mutex_);
    keys = keys_;
  }
  const ApiKey::Digest digest = digest_of(key);
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
