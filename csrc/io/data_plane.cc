#include "io/data_plane.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "io/budget.h"
#include "io/io_thread.h"

namespace naiad {
namespace {

std::unique_ptr<TlsCredentials> make_credentials(const ListenOptions& options, TlsProtocol protocol) {
  if (!options.enabled || !options.tls) return nullptr;
  return std::make_unique<TlsCredentials>(*options.tls, protocol);
}

}  // namespace

// The listening sockets are the first thread's. It hands each connection to the next thread in turn: with the
// few, long-lived connections of clients that keep theirs alive, turns spread the load evenly, where the
// kernel's choice by SO_REUSEPORT (a hash of the addresses) would often give one thread most of them.
struct DataPlane::State {
  State(Engine& engine, Bridge& bridge, DataPlaneOptions given);

  void accept(OwnedFd fd, AcceptedConnection::Protocol protocol);
  void listen(const ListenOptions& listen_options, AcceptedConnection::Protocol protocol,
              std::uint16_t& port);
  bool all_ended() const;

  const DataPlaneOptions options;
  const std::unique_ptr<TlsCredentials> http_tls;  // null: plain
  const std::unique_ptr<TlsCredentials> grpc_tls;
  Budget connections;
  Budget bytes;
  std::atomic<bool> stopping{
      false};  // pairs with the sessions' loads (relaxed): a hint, nothing is published
  std::atomic<std::uint64_t> accepted{0};  // counts only: they pair with nothing
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> failed_handshakes{0};
  std::size_t next_thread = 0;  // the first thread's
  std::uint16_t http_port = 0;
  std::uint16_t grpc_port = 0;
  std::mutex mutex;
  std::condition_variable ended;
  std::vector<std::unique_ptr<IoThread>> threads;  // last: they use all of the above
};

DataPlane::State::State(Engine& engine, Bridge& bridge, DataPlaneOptions given)
    : options(std::move(given)),
      http_tls(make_credentials(options.http, TlsProtocol::kHttp1)),
      grpc_tls(make_credentials(options.grpc, TlsProtocol::kGrpc)),
      connections(options.max_connections),
      bytes(options.max_in_flight_bytes) {
  const auto session_ended = [this] {
    if (!stopping.load(std::memory_order_relaxed)) return;
    // Under the mutex: drain() must not miss it between its look and its sleep.
    const std::lock_guard lock(mutex);
    ended.notify_all();
  };
  for (std::size_t i = 0; i < std::max<std::size_t>(options.num_threads, 1); ++i) {
    threads.push_back(
        std::make_unique<IoThread>(SharedByThreads{engine, bridge, options, bytes, stopping, session_ended,
                                                   http_tls.get(), grpc_tls.get(), failed_handshakes},
                                   "naiad-io-" + std::to_string(i)));
  }
  listen(options.http, AcceptedConnection::Protocol::kHttp, http_port);
  listen(options.grpc, AcceptedConnection::Protocol::kGrpc, grpc_port);
}

void DataPlane::State::listen(const ListenOptions& listen_options, AcceptedConnection::Protocol protocol,
                              std::uint16_t& port) {
  if (!listen_options.enabled) return;
  ListeningSockets sockets = listen_on(listen_options);
  port = sockets.port;
  for (OwnedFd& fd : sockets.fds) {
    threads.front()->listen(
        std::move(fd), [this, protocol](OwnedFd accepted_fd) { accept(std::move(accepted_fd), protocol); });
  }
}

void DataPlane::State::accept(OwnedFd fd, AcceptedConnection::Protocol protocol) {
  Budget::Share share = connections.try_take(1);
  if (!share) {
    refused.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  accepted.fetch_add(1, std::memory_order_relaxed);
  IoThread& thread = *threads[next_thread];
  next_thread = (next_thread + 1) % threads.size();
  thread.adopt({std::move(fd), std::move(share), protocol});
}

bool DataPlane::State::all_ended() const {
  return std::all_of(threads.begin(), threads.end(), [](const auto& thread) { return thread->drained(); });
}

DataPlane::DataPlane(Engine& engine, Bridge& bridge, DataPlaneOptions options)
    : state_(std::make_unique<State>(engine, bridge, std::move(options))) {}

DataPlane::~DataPlane() {
  stop();
}

void DataPlane::start() {
  for (const auto& thread : state_->threads) thread->start();
}

std::uint16_t DataPlane::http_port() const {
  return state_->http_port;
}

std::uint16_t DataPlane::grpc_port() const {
  return state_->grpc_port;
}

void DataPlane::refuse_inference() {
  state_->stopping.store(true, std::memory_order_relaxed);
}

void DataPlane::give_up() {
  for (const auto& thread : state_->threads) thread->give_up();
}

bool DataPlane::drain(std::uint64_t timeout_ns) {
  refuse_inference();
  // The first thread has the listeners: once it has closed them, no other is given a connection.
  for (const auto& thread : state_->threads) thread->drain();
  std::unique_lock lock(state_->mutex);
  return state_->ended.wait_for(lock, std::chrono::nanoseconds(timeout_ns),
                                [&] { return state_->all_ended(); });
}

void DataPlane::stop() {
  state_->stopping.store(true, std::memory_order_relaxed);
  for (const auto& thread : state_->threads) thread->stop();
}

bool DataPlane::reload_http_tls() {
  return state_->http_tls != nullptr && state_->http_tls->reload();
}

bool DataPlane::reload_grpc_tls() {
  return state_->grpc_tls != nullptr && state_->grpc_tls->reload();
}

AnsweredRequests DataPlane::answered() const {
  AnsweredRequests answered;
  for (const auto& thread : state_->threads) {
    thread->counts().add_http_to(answered.http);
    thread->counts().add_grpc_to(answered.grpc);
  }
  return answered;
}

DataPlaneUsage DataPlane::usage() const {
  DataPlaneUsage usage;
  usage.open_connections = state_->connections.used();
  usage.in_flight_bytes = state_->bytes.used();
  for (const auto& thread : state_->threads) usage.in_flight += thread->num_in_flight();
  usage.accepted_connections = state_->accepted.load(std::memory_order_relaxed);
  usage.refused_connections = state_->refused.load(std::memory_order_relaxed);
  usage.failed_handshakes = state_->failed_handshakes.load(std::memory_order_relaxed);
  return usage;
}

}  // namespace naiad
