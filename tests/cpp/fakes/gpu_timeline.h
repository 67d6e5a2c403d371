#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace naiad::test {

// One engine of a GPU (copies in, copies out, kernels): does one thing at a time, the first that is ready.
// Virtual time, in ns.
class GpuEngine {
 public:
  // Does something that takes so long, not before `ready_ns`; when it ends.
  std::uint64_t place(std::uint64_t ready_ns, std::uint64_t duration_ns) {
    std::uint64_t start_ns = ready_ns;
    auto next = busy_.begin();
    for (; next != busy_.end(); ++next) {
      if (start_ns + duration_ns <= next->first) break;
      start_ns = std::max(start_ns, next->second);
    }
    const std::uint64_t end_ns = start_ns + duration_ns;
    // Kept in order; neighbours grow together, so that a long run stays short.
    if (next != busy_.begin() && std::prev(next)->second == start_ns) {
      std::prev(next)->second = end_ns;
    } else {
      busy_.insert(next, {start_ns, end_ns});
    }
    busy_ns_ += duration_ns;
    return end_ns;
  }
  // How long it has worked in all.
  std::uint64_t busy_ns() const { return busy_ns_; }

 private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> busy_;
  std::uint64_t busy_ns_ = 0;
};

// What has happened before something: of each stream, up to which of its works.
class Past {
 public:
  void add(int stream, std::uint64_t work) {
    std::uint64_t& last = last_[stream];
    last = std::max(last, work);
  }
  void add(const Past& other) {
    for (const auto& [stream, work] : other.last_) add(stream, work);
  }
  bool has(int stream, std::uint64_t work) const {
    const auto found = last_.find(stream);
    return found != last_.end() && found->second >= work;
  }

 private:
  std::map<int, std::uint64_t> last_;
};

struct Bytes {
  const std::byte* begin = nullptr;
  std::size_t size_bytes = 0;

  bool meets(const Bytes& other) const {
    return size_bytes != 0 && other.size_bytes != 0 && begin < other.begin + other.size_bytes &&
           other.begin < begin + size_bytes;
  }
};

// Who uses which memory, and whether the order of any two uses of which one writes is settled by streams,
// events and waits. What is not, is a fault: on a GPU it would go well on most days.
class Uses {
 public:
  void note(int stream, std::uint64_t work, const Past& past, const Bytes& bytes, bool writes,
            const std::string& what) {
    for (const Use& use : uses_) {
      if (!(writes || use.writes) || !use.bytes.meets(bytes) || past.has(use.stream, use.work)) continue;
      faults_.push_back(what + " is not ordered after " + use.what);
    }
    uses_.push_back({stream, work, bytes, writes, what});
  }
  // By the host, which has seen the end of what is in `past`.
  void check_host(const Past& past, const Bytes& bytes, bool writes) {
    for (const Use& use : uses_) {
      if (!(writes || use.writes) || !use.bytes.meets(bytes) || past.has(use.stream, use.work)) continue;
      faults_.push_back("the host does not wait for " + use.what);
    }
  }
  bool in_use(const Past& past, const Bytes& bytes) const {
    return std::ranges::any_of(
        uses_, [&](const Use& use) { return use.bytes.meets(bytes) && !past.has(use.stream, use.work); });
  }
  // The host has seen the end of these: whatever it queues comes after them.
  void forget(const Past& past) {
    std::erase_if(uses_, [&](const Use& use) { return past.has(use.stream, use.work); });
  }

  void fault(const std::string& what) { faults_.push_back(what); }
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  struct Use {
    int stream;
    std::uint64_t work;
    Bytes bytes;
    bool writes;
    std::string what;
  };
  std::vector<Use> uses_;
  std::vector<std::string> faults_;
};

}  // namespace naiad::test
