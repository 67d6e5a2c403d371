#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/client_network.h"
#include "io/guess_limit.h"
#include "io/key_ring.h"
#include "protocol/http1.h"
#include "protocol/route_table.h"

namespace naiad {

// The field that carries the name of a request's key to the control plane. A client's own is dropped.
inline constexpr std::string_view kKeyNameField = "naiad-key-name";

// Who may ask what over one protocol. Decides from the head of a request alone, before a byte of its body is
// looked at, for inference as for everything else. Immutable but for its keys; any thread.
class AccessGate {
 public:
  // A group whose requests have to carry a field with this value, as Triton's restricted APIs.
  struct Restriction {
    std::string field;  // its name
    std::string value;
  };
  using Restrictions = std::array<std::optional<Restriction>, kNumApiGroups>;

  enum class Refusal : unsigned char {
    kNone,
    kRestricted,  // the field of the group's restriction is not there, or has another value
    kNoKey,       // a key is needed and none was shown
    kUnknownKey,
    kForbidden,  // the key does not open this
    kGuessing,   // the client has shown too many wrong keys
    kUnchecked,  // whether the key is good could not be found out
  };
  struct Verdict {
    Refusal refusal = Refusal::kNone;
    std::string key_name;             // "" without a key
    std::string message;              // for the client
    std::uint32_t retry_after_s = 0;  // of kGuessing
    bool allowed() const { return refusal == Refusal::kNone; }
  };

  // Everybody may ask everything.
  AccessGate() = default;
  // `keys` null: none is needed; otherwise who shows none may do what the bits of `without_key` say, and
  // `guesses`, which may be null, bounds how many may be tried. The words of a refused restriction call what
  // is restricted `what` ("API", "protocol").
  AccessGate(RouteTable routes, Restrictions restrictions, std::string_view what,
             std::shared_ptr<const KeyRing> keys, std::shared_ptr<GuessLimit> guesses,
             std::uint64_t without_key);

  // What a request of the control plane asks for.
  Asked asked(std::string_view path, std::string_view method) const { return routes_.asked(path, method); }
  // Whether check() may refuse anything.
  bool is_closed() const { return keys_ != nullptr || restricted_; }
  bool needs_keys() const { return keys_ != nullptr; }
  // Whether check() looks at this field: then it holds a secret, which no model may see.
  bool reads(std::string_view field) const;
  // `client`: who asks.
  Verdict check(const Asked& asked, std::span<const Http1Field> fields, ClientNetwork client) const;

 private:
  bool is_unlocked(const Restriction& restriction, std::span<const Http1Field> fields) const;
  void check_key(const Asked& asked, std::span<const Http1Field> fields, ClientNetwork client,
                 Verdict& verdict) const;
  // Whether a key that was shown is looked at; otherwise `verdict` is a refusal.
  bool may_try(const std::optional<ApiKey::Digest>& digest, bool is_good, ClientNetwork client,
               Verdict& verdict) const;

  RouteTable routes_;
  Restrictions restrictions_;
  bool restricted_ = false;
  std::string what_;
  std::shared_ptr<const KeyRing> keys_;
  std::shared_ptr<GuessLimit> guesses_;
  std::uint64_t without_key_ = 0;
};

}  // namespace naiad
