#include "io/access_gate.h"

#include <algorithm>
#include <utility>

#include "protocol/ascii_case.h"

namespace naiad {
namespace {

constexpr std::string_view kAuthorization = "authorization";
constexpr std::string_view kBearer = "bearer ";

// The key of an Authorization field (RFC 6750, section 2.1); "" when it has none.
std::string_view bearer_key(std::string_view value) {
  if (value.size() <= kBearer.size() || !equals_ignoring_case(value.substr(0, kBearer.size()), kBearer)) {
    return {};
  }
  value.remove_prefix(kBearer.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

}  // namespace

AccessGate::AccessGate(RouteTable routes, Restrictions restrictions, std::string_view what,
                       std::shared_ptr<const KeyRing> keys, std::shared_ptr<GuessLimit> guesses,
                       std::uint64_t without_key)
    : routes_(std::move(routes)),
      restrictions_(std::move(restrictions)),
      restricted_(std::ranges::any_of(restrictions_, [](const auto& each) { return each.has_value(); })),
      what_(what),
      keys_(std::move(keys)),
      guesses_(std::move(guesses)),
      without_key_(without_key) {}

bool AccessGate::reads(std::string_view field) const {
  if (keys_ != nullptr && equals_ignoring_case(field, kAuthorization)) return true;
  return restricted_ && std::ranges::any_of(restrictions_, [&](const auto& each) {
           return each && equals_ignoring_case(field, each->field);
         });
}

AccessGate::Verdict AccessGate::check(const Asked& asked, std::span<const Http1Field> fields,
                                      ClientNetwork client) const {
  Verdict verdict;
  const auto& restriction = restrictions_[static_cast<std::size_t>(asked.group)];
  if (restriction && !is_unlocked(*restriction, fields)) {
    verdict.refusal = Refusal::kRestricted;
    verdict.message = "This " + what_ + " is restricted, expecting header '" + restriction->field + "'";
    return verdict;
  }
  if (keys_ != nullptr) check_key(asked, fields, client, verdict);
  return verdict;
}

bool AccessGate::is_unlocked(const Restriction& restriction, std::span<const Http1Field> fields) const {
  bool found = false;
  for (const Http1Field& field : fields) {
    if (!equals_ignoring_case(field.name, restriction.field)) continue;
    // With several, which one counts would be a guess.
    if (found || !same_secret(field.value, restriction.value)) return false;
    found = true;
  }
  return found;
}

void AccessGate::check_key(const Asked& asked, std::span<const Http1Field> fields, ClientNetwork client,
                           Verdict& verdict) const {
  std::string_view key;
  std::size_t num_shown = 0;
  for (const Http1Field& field : fields) {
    if (!equals_ignoring_case(field.name, kAuthorization)) continue;
    ++num_shown;
    key = bearer_key(field.value);
  }
  const bool is_open = (without_key_ & asked.bit()) != 0;
  std::optional<KeyRing::Found> found;
  if (num_shown == 1 && !key.empty()) {
    const std::optional<ApiKey::Digest> digest = keys_->digest_of(key);
    if (digest) found = keys_->find(*digest);
    // The answer to what needs no key tells nothing of one.
    if (!is_open && !may_try(digest, found.has_value(), client, verdict)) return;
  }
  if (found) verdict.key_name = std::move(found->name);
  if (is_open || (found && (found->permissions & asked.bit()) != 0)) return;
  if (num_shown == 0) {
    verdict.refusal = Refusal::kNoKey;
    verdict.message = "An API key is needed, expecting header 'Authorization: Bearer <key>'";
  } else if (!found) {
    verdict.refusal = Refusal::kUnknownKey;
    verdict.message = "The API key is not valid";
  } else {
    verdict.refusal = Refusal::kForbidden;
    const bool changes = asked.changes && asked.group != ApiGroup::kInference;
    verdict.message = "The API key '" + verdict.key_name + "' is not allowed " +
                      (changes ? "to change '" : "'") + std::string(name_of(asked.group)) + "'";
  }
}

bool AccessGate::may_try(const std::optional<ApiKey::Digest>& digest, bool is_good, ClientNetwork client,
                         Verdict& verdict) const {
  if (!digest) {
    verdict.refusal = Refusal::kUnchecked;
    verdict.message = "The API key could not be checked";
    return false;
  }
  if (guesses_ == nullptr) return true;
  verdict.retry_after_s =
      is_good ? guesses_->good_key(client, *digest) : guesses_->wrong_key(client, *digest);
  if (verdict.retry_after_s == 0) return true;
  verdict.refusal = Refusal::kGuessing;
  verdict.message = "Too many wrong API keys have come from this address, try again in " +
                    std::to_string(verdict.retry_after_s) + " s";
  return false;
}

}  // namespace naiad
