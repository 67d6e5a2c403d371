#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "request/request.h"

namespace naiad {

// The models that are loaded when the first request for them comes: the request is parked here until another
// thread has loaded its model, or says why it could not. However many requests wait, a model is asked for
// once. Any thread.
class Summons {
 public:
  static constexpr std::size_t kMaxParked = 4096;             // requests for one model
  static constexpr std::uint64_t kRestNs = 5'000'000'000ULL;  // after a failure, before it is tried again

  // Where parked requests go once their model is there: on failure the request stays with the caller.
  using Submit = std::function<Status(std::unique_ptr<Request>& request)>;

  // `clock` outlives it.
  Summons(Submit submit, const Clock& clock) : submit_(std::move(submit)), clock_(clock) {}
  // Closes.
  ~Summons() { close(); }
  Summons(const Summons&) = delete;
  Summons& operator=(const Summons&) = delete;

  // These are the models that may be summoned from now on. Requests that are parked already stay.
  void allow(std::set<std::string, std::less<>> names);
  bool allows(std::string_view name) const;
  // Whether a request for this model would be parked: it may be summoned, and has not failed just now.
  bool takes(std::string_view name) const;

  // Parks a request that its sink will see again, with its answer or as a failure; one that
  // `awaits_model_only` comes home without having been run. On failure it stays with the caller:
  // kNotFound for a model that may not be summoned; kUnavailable when the model has failed just now, with the
  // reason, when too many wait for it, and after close().
  Status park(std::unique_ptr<Request>& request);

  // A model that somebody waits for, to be loaded and then answered. Blocks until there is one; empty after
  // close().
  std::optional<std::string> take();
  // The model is there: what is parked goes to it, in its order. Who comes later is parked anew.
  void arrived(const std::string& name);
  // The end of a load that take() asked for: everything that is still parked goes to the model, or fails with
  // `status`, as those do that come in the next kRestNs.
  void answer(const std::string& name, const Status& status);

  // Answers parked requests that were cancelled or whose deadline is over. Whether any are still parked: then
  // it is to be called again soon.
  bool sweep();
  // Fails all that is parked, parks no more. Idempotent.
  void close();

  std::size_t num_parked() const;

 private:
  using Parked = std::vector<std::unique_ptr<Request>>;
  struct Model {
    std::deque<std::unique_ptr<Request>> parked;
    bool asked = false;  // take() will give it, or has given it and waits for its answer
    Status failure;      // of its last load
    std::uint64_t rests_until_ns = 0;
  };

  // With mutex_ held.
  bool rests(const Model& model) const { return clock_.now_ns() < model.rests_until_ns; }
  void ask(const std::string& name, Model& model);
  Parked take_parked(Model& model);

  void submit(Parked parked);
  static void send_home(std::unique_ptr<Request> request, const Status& status);

  const Submit submit_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable wanted_changed_;
  std::set<std::string, std::less<>> allowed_;
  std::map<std::string, Model, std::less<>> models_;
  std::deque<std::string> wanted_;
  std::size_t num_parked_ = 0;
  bool closed_ = false;
};

}  // namespace naiad
