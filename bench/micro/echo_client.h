#pragma once

// The client of the echo benches, and what they measure: CPU time of the server's thread per round trip,
// kernel included, and the latency that a blocking client sees. With several connections the client writes to
// each of them before it reads from the first.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "base/clock.h"
#include "io/listener.h"

namespace naiad::bench {

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

inline double thread_cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

inline OwnedFd connect_to(std::uint16_t port) {
  OwnedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (fd.get() < 0 || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

inline void send_all(int fd, const std::string& message) {
  for (std::size_t at = 0; at < message.size();) {
    const ssize_t count = ::send(fd, message.data() + at, message.size() - at, MSG_NOSIGNAL);
    if (count <= 0) fail("send");
    at += static_cast<std::size_t>(count);
  }
}

inline void receive_all(int fd, std::string& answer) {
  for (std::size_t at = 0; at < answer.size();) {
    const ssize_t count = ::recv(fd, answer.data() + at, answer.size() - at, 0);
    if (count <= 0) fail("recv");
    at += static_cast<std::size_t>(count);
  }
}

// `Server` has port() and cpu_us(), the CPU time that its thread has used. Messages of `size_bytes` behind
// their length.
template <typename Server>
void bench_echo(const char* name, Server& server, std::size_t size_bytes, std::size_t num_connections,
                int num_rounds) {
  std::vector<OwnedFd> fds;
  for (std::size_t i = 0; i < num_connections; ++i) fds.push_back(connect_to(server.port()));
  std::string message(sizeof(std::uint32_t) + size_bytes, 'x');
  const auto prefix = static_cast<std::uint32_t>(size_bytes);
  std::memcpy(message.data(), &prefix, sizeof prefix);
  std::string answer(message.size(), '\0');
  const SteadyClock clock;
  std::vector<double> latencies_us;
  double cpu_start_us = 0;
  const int num_warm = num_rounds / 10;
  for (int round = 0; round < num_warm + num_rounds; ++round) {
    if (round == num_warm) cpu_start_us = server.cpu_us();
    const std::uint64_t start_ns = clock.now_ns();
    for (const OwnedFd& fd : fds) send_all(fd.get(), message);
    for (const OwnedFd& fd : fds) receive_all(fd.get(), answer);
    if (round >= num_warm) latencies_us.push_back(static_cast<double>(clock.now_ns() - start_ns) / 1e3);
  }
  if (answer != message) fail("the echo is not what was sent");
  const double cpu_us = (server.cpu_us() - cpu_start_us) / static_cast<double>(num_rounds) /
                        static_cast<double>(num_connections);
  std::sort(latencies_us.begin(), latencies_us.end());
  const auto percentile = [&](double part) {
    return latencies_us[static_cast<std::size_t>(part * static_cast<double>(latencies_us.size() - 1))];
  };
  std::printf(
      "%-8s %8zu bytes, %3zu connections: server CPU %7.2f us per round trip; p50 %8.1f us, p99 %8.1f us%s\n",
      name, size_bytes, num_connections, cpu_us, percentile(0.5), percentile(0.99),
      num_connections == 1 ? "" : " for a turn of all");
}

}  // namespace naiad::bench
