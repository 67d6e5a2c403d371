#include "io/access_line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "base/log.h"

namespace naiad {
namespace {

constexpr std::uint64_t kNsPerUs = 1000;
// Of what a client has written.
constexpr std::size_t kMaxShownBytes = 512;

}  // namespace

void log_access(const AccessLine& line) {
  std::string text = "access ";
  text.append(line.protocol).append(" ").append(line.peer).append(" ").append(line.method).append(" ");
  text.append(line.target.substr(0, line.target.find('?')).substr(0, kMaxShownBytes));
  text.append(" status=").append(std::to_string(line.status));
  text.append(" duration_us=").append(std::to_string(line.spent_ns / kNsPerUs));
  if (!line.key_name.empty()) text.append(" key=").append(line.key_name);
  log_info(text);
}

std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "-";
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(four.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(six.sin6_port));
  }
  return "-";
}

}  // namespace naiad
