#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

// OpenSSL's own names, so that no header of it is needed here.
struct ssl_ctx_st;

namespace naiad {

// The files of TLS on one port, all PEM.
struct TlsFiles {
  std::string certificate_chain;  // the server's certificate, then those that lead to its root
  std::string key;                // not encrypted
  std::string client_roots;       // not empty: a client has to show a certificate that leads to one of these
};

// What is spoken over TLS: agreed on by ALPN (RFC 7301).
enum class TlsProtocol : unsigned char {
  kHttp1,  // "http/1.1", or nothing agreed on
  kGrpc,   // "h2"; a client that does not ask for it is refused, as grpc's own servers do
};

// What the connections of one port are encrypted with: TLS 1.2 or 1.3, no renegotiation. It does not change:
// from other files another one is made. Lives as long as a connection uses it.
class TlsContext {
 public:
  using Digest = std::array<unsigned char, 32>;

  // Throws Error(kInvalidArgument) that names the file and what is wrong with it, never what it holds. Blocks
  // while it reads. Any thread.
  TlsContext(const TlsFiles& files, TlsProtocol protocol);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // What new connections are made from. Any thread; OpenSSL counts who uses it.
  ssl_ctx_st* get() const { return context_.get(); }
  TlsProtocol protocol() const { return protocol_; }
  // Of the bytes of all files. Any thread.
  const Digest& digest() const { return digest_; }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };

  const TlsProtocol protocol_;
  Digest digest_{};
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// The files of one port and the context that they gave last.
class TlsCredentials {
 public:
  // As TlsContext.
  TlsCredentials(TlsFiles files, TlsProtocol protocol);

  // For a new connection. Any thread; never waits for files.
  std::shared_ptr<const TlsContext> context() const;
  // Reads the files again. True: they have changed, and new connections get what they hold now; those that
  // are open go on as they are. Throws as TlsContext: then all stays as it was. Blocks. Any thread.
  bool reload();

 private:
  const TlsFiles files_;
  mutable std::mutex mutex_;  // of context_
  std::shared_ptr<const TlsContext> context_;
};

}  // namespace naiad
