#include "io/io_thread.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "io/grpc_session.h"
#include "io/http_session.h"

namespace naiad {

IoThread::IoThread(SharedByThreads shared, std::string name)
    : shared_(std::move(shared)),
      name_(std::move(name)),
      loop_(clock_, shared_.options.spin_ns),
      coding_(loop_, name_ + "-code"),
      context_{loop_,
               shared_.engine,
               in_flight_,
               shared_.bridge,
               shared_.engine.pool(),
               shared_.bytes,
               shared_.options,
               shared_.stopping,
               coding_,
               [this](Session& session) { forget(session); },
               counts_} {}

IoThread::~IoThread() {
  stop();
}

void IoThread::start() {
  thread_ = start_thread(name_, [this] {
    id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    static_cast<void>(take_short_turns());  // an older kernel has none
    loop_.run();
    // Here, where timers and descriptors may be touched.
    listeners_.clear();
    arriving_.clear();
    shaken_.clear();
    sessions_.clear();
  });
}

void IoThread::stop() {
  loop_.stop();
  if (thread_.joinable()) thread_.join();
  loop_.drop_posted();  // a connection may have been on its way here
  listeners_.clear();
  arriving_.clear();
  shaken_.clear();
  sessions_.clear();
}

void IoThread::listen(OwnedFd socket, std::function<void(OwnedFd)> accepted) {
  listeners_.push_back(std::make_unique<Listener>(loop_, std::move(socket), std::move(accepted)));
}

void IoThread::adopt(AcceptedConnection connection) {
  num_sessions_.fetch_add(1, std::memory_order_release);
  if (id_.load(std::memory_order_relaxed) == std::this_thread::get_id()) return serve(std::move(connection));
  // A task has to be copyable; when the loop has ended it is dropped, and the socket closed with it.
  auto kept = std::make_shared<AcceptedConnection>(std::move(connection));
  loop_.post([this, kept] { serve(std::move(*kept)); });
}

void IoThread::serve(AcceptedConnection connection) {
  const bool draining = draining_.load(std::memory_order_relaxed);
  const bool http = connection.protocol == AcceptedConnection::Protocol::kHttp;
  const TlsCredentials* const tls = http ? shared_.http_tls : shared_.grpc_tls;
  try {
    if (tls != nullptr) {
      // It has asked for nothing yet.
      return draining ? count_ended() : shake_hands(std::move(connection), *tls);
    }
    auto transport = make_plain_transport(connection.fd.release());
    Session& session = open(std::move(transport), std::move(connection));
    if (draining) session.drain();
  } catch (const Error& error) {
    log_warning(std::string("cannot serve a connection: ") + error.what());
    count_ended();
  }
}

void IoThread::shake_hands(AcceptedConnection connection, const TlsCredentials& credentials) {
  auto handshake = std::make_unique<TlsHandshake>(
      loop_, std::move(connection.fd), credentials.context(), shared_.options.header_timeout_ns,
      [this](TlsHandshake& ended, TlsHandshake::Outcome outcome, std::unique_ptr<Transport> transport) {
        shaken(ended, outcome, std::move(transport));
      });
  TlsHandshake* const key = handshake.get();
  arriving_.emplace(key, Arriving{std::move(handshake), std::move(connection)});
}

void IoThread::shaken(TlsHandshake& handshake, TlsHandshake::Outcome outcome,
                      std::unique_ptr<Transport> transport) {
  if (outcome == TlsHandshake::Outcome::kFailed) {
    shared_.failed_handshakes.fetch_add(1, std::memory_order_relaxed);
  }
  const auto found = arriving_.find(&handshake);
  AcceptedConnection connection = std::move(found->second.connection);
  // Not at once: the handshake is on the stack.
  shaken_.push_back(std::move(found->second.handshake));
  loop_.post([this] { shaken_.clear(); });
  arriving_.erase(found);
  if (transport == nullptr) return count_ended();
  try {
    open(std::move(transport), std::move(connection));
  } catch (const Error& error) {
    log_warning(std::string("cannot serve a connection: ") + error.what());
    count_ended();
  }
}

Session& IoThread::open(std::unique_ptr<Transport> transport, AcceptedConnection connection) {
  auto session = connection.protocol == AcceptedConnection::Protocol::kHttp
                     ? make_http_session(context_, std::move(transport))
                     : make_grpc_session(context_, std::move(transport));
  Session* const key = session.get();
  sessions_.emplace(key, Entry{std::move(session), std::move(connection.share)});
  return *key;
}

void IoThread::forget(Session& session) {
  // Not at once: the session is on the stack.
  loop_.post([this, &session] {
    sessions_.erase(&session);
    count_ended();
  });
}

void IoThread::count_ended() {
  num_sessions_.fetch_sub(1, std::memory_order_release);
  shared_.session_ended();
}

void IoThread::give_up() {
  loop_.post([this] {
    in_flight_.give_up({Code::kUnavailable, "Server is stopping, the request was not finished in time"});
  });
}

void IoThread::drain() {
  loop_.post([this] {
    for (const auto& listener : listeners_) listener->accept_all();
    listeners_.clear();
    draining_.store(true, std::memory_order_release);
    // They have asked for nothing yet.
    num_sessions_.fetch_sub(arriving_.size(), std::memory_order_release);
    arriving_.clear();
    std::vector<Session*> sessions;
    sessions.reserve(sessions_.size());
    for (const auto& [session, entry] : sessions_) sessions.push_back(session);
    for (Session* session : sessions) session->drain();
    shared_.session_ended();
  });
}

}  // namespace naiad
