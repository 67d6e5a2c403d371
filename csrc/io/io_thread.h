#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "io/listener.h"
#include "io/session.h"
#include "io/tls_handshake.h"

namespace naiad {

// A connection that was accepted and has not got its session yet.
struct AcceptedConnection {
  enum class Protocol : unsigned char { kHttp, kGrpc };
  OwnedFd fd;
  Budget::Share share;  // of the connections
  Protocol protocol = Protocol::kHttp;
};

// What the I/O threads of a data plane share.
struct SharedByThreads {
  Engine& engine;
  Bridge& bridge;
  const DataPlaneOptions& options;
  Budget& bytes;
  const std::atomic<bool>& stopping;
  // Called on the I/O thread whenever a session has ended.
  std::function<void()> session_ended;
  const TlsCredentials* http_tls;  // null: plain
  const TlsCredentials* grpc_tls;
  std::atomic<std::uint64_t>& failed_handshakes;
};

// One thread with its event loop, the sessions of its connections and the requests they have in flight.
class IoThread {
 public:
  IoThread(SharedByThreads shared, std::string name);
  // Stops.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // Any thread, once.
  void start();
  // Closes all connections and joins. Blocks; idempotent; not the I/O thread.
  void stop();

  // Serves the connection. Any thread; at once when it is this one.
  void adopt(AcceptedConnection connection);
  // Accepts on the socket until drain(). Before start().
  void listen(OwnedFd socket, std::function<void(OwnedFd)> accepted);
  // Takes no more connections, ends the sessions as they fall idle. Any thread.
  void drain();
  // Answers the inference requests in flight that the server stops. Any thread.
  void give_up();

  // Any thread.
  bool drained() const {
    return draining_.load(std::memory_order_acquire) && num_sessions_.load(std::memory_order_acquire) == 0;
  }
  std::size_t num_in_flight() const { return in_flight_.size(); }
  const EdgeCounts& counts() const { return counts_; }

 private:
  struct Entry {
    std::unique_ptr<Session> session;
    Budget::Share share;
  };
  // A connection that comes to its session when its TLS handshake is done.
  struct Arriving {
    std::unique_ptr<TlsHandshake> handshake;
    AcceptedConnection connection;  // without its socket, which the handshake has
  };

  void serve(AcceptedConnection connection);
  void shake_hands(AcceptedConnection connection, const TlsCredentials& credentials);
  void shaken(TlsHandshake& handshake, TlsHandshake::Outcome outcome, std::unique_ptr<Transport> transport);
  Session& open(std::unique_ptr<Transport> transport, AcceptedConnection connection);
  void forget(Session& session);
  void count_ended();

  SharedByThreads shared_;
  const std::string name_;
  const SteadyClock clock_;
  EventLoop loop_;
  InFlight in_flight_{loop_};
  CodingThread coding_;
  EdgeCounts counts_;
  SessionContext context_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<Session*, Entry> sessions_;
  std::unordered_map<TlsHandshake*, Arriving> arriving_;
  std::vector<std::unique_ptr<TlsHandshake>> shaken_;  // have ended, to be destroyed
  std::atomic<bool> draining_{false};  // written by the I/O thread when it listens no more; as num_sessions_
  // Sessions and connections on their way to one. Release on change, acquire where it is read: who sees 0
  // after the drain sees all that the sessions did.
  std::atomic<std::size_t> num_sessions_{0};
  std::atomic<std::thread::id> id_{};
  std::jthread thread_;
};

}  // namespace naiad
