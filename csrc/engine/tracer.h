#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/trace_watch.h"
#include "request/trace.h"

namespace naiad {

// Which requests are traced, and what is noted of them.
struct TraceSetting {
  std::uint64_t number = 0;  // by which those who write traces know it
  TraceLevels levels{};
  std::uint32_t rate = 1000;  // every so manieth request; 0: none but those that come with a context
  std::int64_t count = -1;    // so many; negative: without a bound
  bool has_context = false;   // traces stand in those of the clients, by their header fields
};

// The header fields of a request that say where it stands in a trace. Empty: not there.
struct TraceHeaders {
  std::string_view parent;  // "traceparent"
  std::string_view state;   // "tracestate"
};

// What those who write traces are told.
struct TraceNews {
  std::uint64_t setting = 0;
  std::optional<TraceRecord> record;  // none: see below
  bool has_all = false;               // the last one that the setting's count allows
  bool has_ended = false;             // the setting was replaced, and no more of it will come
};

// Decides which requests are traced, and keeps what was noted until it is written. Without a setting that
// traces anything it costs a request one load.
class Tracer final : public TraceSink {
 public:
  // Of what waits to be written; what is more is counted and dropped.
  struct Bounds {
    std::size_t num_records = 4096;
    std::size_t num_bytes = std::size_t{64} << 20;
  };

  explicit Tracer(const Clock& clock) : Tracer(clock, Bounds{}) {}
  Tracer(const Clock& clock, Bounds bounds);

  // Whether any request may be traced. Any thread.
  bool on() const { return on_.load(std::memory_order_relaxed); }

  // From now on requests for this model, or for all that have no setting of their own (""), go by it. Any
  // thread.
  void set(const std::string& model, TraceSetting setting);
  // Requests for the model go by the common one.
  void clear(const std::string& model);
  // How many the setting of that name still allows; negative: without a bound. Any thread.
  std::int64_t count_left(const std::string& model) const;

  // Of a request for `model`; null: it is not traced. Any thread.
  std::shared_ptr<Trace> sample(std::string_view model, const TraceHeaders& headers);

  // Of a request that is traced whatever the settings are: its record goes to `watch`. Any thread.
  std::shared_ptr<Trace> watch(std::shared_ptr<TraceWatch> watch);

  // Of a request that is made for the one whose trace has this number; null when that is over. Any thread.
  std::shared_ptr<Trace> spawn_of(std::uint64_t number) const;

  // Waits for something to write; empty when there was nothing for `timeout_ns`, or, at once, when it is
  // closed. Any thread.
  std::vector<TraceNews> take(std::uint64_t timeout_ns);
  // Traces nothing from now on; take() gives what is still there. Any thread.
  void close();
  bool closed() const;
  // Records that were dropped. Any thread.
  std::uint64_t num_dropped() const;

  void traced(TraceRecord record) noexcept override;
  std::uint64_t next_trace_id() override;
  void remember(std::uint64_t number, std::weak_ptr<Trace> trace) override;
  void forget(std::uint64_t number) override;
  std::uint64_t random() override;
  std::uint64_t now_ns() const override { return clock_.now_ns(); }

 private:
  struct Active {
    TraceSetting setting;
    std::uint64_t num_seen = 0;
    std::int64_t left = -1;
    std::uint64_t num_begun = 0;
    std::uint64_t num_ended = 0;
    bool replaced = false;
  };
  using Lock = std::unique_lock<std::mutex>;
  // Above it are the numbers of those that no setting has traced.
  static constexpr std::uint64_t kWatched = std::uint64_t{1} << 63;

  // With the lock held.
  void replace(const std::string& model, std::optional<TraceSetting> setting);
  void look_whether_on();
  void tell(TraceNews news, std::size_t num_bytes);

  const Clock& clock_;
  const Bounds bounds_;
  std::atomic<bool> on_{false};            // pairs with nothing: a hint, sample() looks under the lock
  std::atomic<std::uint64_t> last_id_{0};  // each value is given once
  mutable std::mutex mutex_;               // guards all below
  std::condition_variable told_;
  std::map<std::string, std::uint64_t, std::less<>> by_model_;  // numbers; "" is for all others
  std::map<std::uint64_t, Active> active_;  // by number; replaced ones until all of theirs have ended
  std::deque<std::pair<TraceNews, std::size_t>> news_;
  std::size_t num_news_bytes_ = 0;
  std::uint64_t num_dropped_ = 0;
  bool closed_ = false;
  std::uint64_t last_watch_ = kWatched;
  std::map<std::uint64_t, std::shared_ptr<TraceWatch>> watches_;  // by what their records have as a setting
  mutable std::mutex open_mutex_;
  std::map<std::uint64_t, std::weak_ptr<Trace>> open_;  // guarded by open_mutex_
  std::mutex random_mutex_;
  std::mt19937_64 random_;  // guarded by random_mutex_
};

}  // namespace naiad
