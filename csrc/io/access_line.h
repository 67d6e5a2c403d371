#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace naiad {

// One line of the access log: a request that was answered.
struct AccessLine {
  std::string_view peer;      // its client
  std::string_view protocol;  // "http", "grpc"
  std::string_view method;
  std::string_view target;  // as the client wrote it; what follows a question mark is left out
  int status = 0;
  std::uint64_t spent_ns = 0;
  std::string_view key_name;  // "" without a key
};

// Writes it. Any thread.
void log_access(const AccessLine& line);

// Who is at the other end of a socket: "192.0.2.1:40002", "[2001:db8::1]:40002", "-" when it has no address.
// Any thread.
std::string peer_address(int fd);

}  // namespace naiad
