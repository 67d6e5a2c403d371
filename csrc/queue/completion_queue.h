#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/atomics.h"
#include "queue/event_fd.h"

namespace naiad {

// The way home of finished work: many threads push, one thread, woken by epoll, drains all at once.
// Unbounded, because what is in it was admitted before. FIFO per producer. One small heap node per item.
//
// The descriptor is signalled only by the push that finds the queue empty, so a burst costs one write and one
// wake-up. No item is forgotten: drain() resets the descriptor first and empties the queue then. A push
// before the emptying is taken by it; the first push after the emptying finds the queue empty and signals,
// after the reset. (The other order would lose a signal that falls between the two.) A drain may find
// nothing: the signal of a push whose item an earlier drain took. tests/cpp/model checks this.
template <class T, class Atomics = StdAtomics, class Event = EventFd>
  requires std::is_nothrow_move_constructible_v<T>
class CompletionQueue {
 public:
  CompletionQueue() = default;
  // What was not drained dies here. No push may be under way.
  ~CompletionQueue() { release(head_.exchange(nullptr, std::memory_order_acquire)); }
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  // Never fails, never blocks (out of memory ends the process). Any thread.
  void push(T item) noexcept {
    auto node = std::make_unique<Node>(std::move(item));
    Node* top = head_.load(std::memory_order_relaxed);
    do {
      node->below = top;
      // Release: pairs with the acquire in drain(), for the node. A node under it is covered by the release
      // sequence of its own push, which this read-modify-write continues.
    } while (
        !head_.compare_exchange_weak(top, node.get(), std::memory_order_release, std::memory_order_relaxed));
    static_cast<void>(node.release());  // the queue's now, or already the drainer's
    if (top == nullptr) event_.signal();
  }

  // Appends all items to `items`, each producer's in the order of its pushes, and resets the descriptor. Says
  // how many. One thread at a time, usually the one that polls fd(); never blocks.
  std::size_t drain(std::vector<T>& items) {
    event_.reset();  // before the exchange: see above
    Node* node = reversed(head_.exchange(nullptr, std::memory_order_acquire));  // pairs with push()
    std::size_t count = 0;
    while (node != nullptr) {
      const std::unique_ptr<Node> owned(node);
      node = owned->below;
      items.push_back(std::move(owned->item));
      ++count;
    }
    return count;
  }

  // Readable when there may be something to drain. Any thread.
  int fd() const { return event_.fd(); }

 private:
  struct Node {
    explicit Node(T&& from) : item(std::move(from)) {}
    T item;
    typename Atomics::template Plain<Node*> below{nullptr};
  };

  // The newest is on top; the oldest goes first.
  static Node* reversed(Node* node) {
    Node* done = nullptr;
    while (node != nullptr) {
      Node* const below = node->below;
      node->below = done;
      done = node;
      node = below;
    }
    return done;
  }

  static void release(Node* node) {
    while (node != nullptr) {
      const std::unique_ptr<Node> owned(node);
      node = owned->below;
    }
  }

  // The newest item, or null when the queue is empty. The only word that producers and drainer share.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<Node*> head_{nullptr};
  Event event_;
};

}  // namespace naiad
