#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// Which of a model's versions requests go to, where that is not the highest one.
struct VersionRoutes {
  struct Share {
    std::int64_t version;
    std::uint32_t weight;  // at least 1
  };

  std::map<std::string, std::int64_t, std::less<>> labels;  // what clients may say in place of a number
  std::vector<Share> shares;           // of the requests that name no version; none: all go to the highest
  std::optional<std::int64_t> shadow;  // gets copies of those requests, whose answers nobody sees
  std::uint32_t shadow_percent = 100;  // of them
};

// Draws the versions of requests. Any thread.
class VersionRouter {
 public:
  explicit VersionRouter(VersionRoutes routes);

  bool has_labels() const { return !routes_.labels.empty(); }
  // None for what is no label.
  std::optional<std::int64_t> labelled(std::string_view label) const;
  // For a request that names no version; none: the highest. All requests of a sequence get the same one.
  std::optional<std::int64_t> draw(const Request& request) const;
  // For who only wants to know what the model looks like: the version with the largest share.
  std::optional<std::int64_t> largest() const { return largest_; }
  // The version that gets a copy of this request; none: no version.
  std::optional<std::int64_t> shadow_of(const Request& request) const;

 private:
  const VersionRoutes routes_;
  std::uint64_t total_weight_ = 0;
  std::optional<std::int64_t> largest_;
  // Of requests that were drawn. They pair with nothing: each value is given once.
  mutable std::atomic<std::uint64_t> num_drawn_{0};
  mutable std::atomic<std::uint64_t> num_shadow_drawn_{0};
};

// A request with the same inputs, for the same model, that has not been admitted and has no way home yet.
std::unique_ptr<Request> copy_for_shadow(const Request& request);

// The home of answers that nobody sees.
class DiscardingSink final : public CompletionSink {
 public:
  void respond(const Request&, Response) noexcept override {}
  void complete(std::unique_ptr<Request>, Response) noexcept override {}
};

}  // namespace naiad
