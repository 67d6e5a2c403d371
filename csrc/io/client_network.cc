#include "io/client_network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace naiad {
namespace {

// Above all 32 bits of an address: 0.0.0.0 is one too.
constexpr ClientNetwork kVersion4 = ClientNetwork{1} << 32;
constexpr int kMappedOffset = 12;

ClientNetwork network_of(const in_addr& address) {
  return kVersion4 | ntohl(address.s_addr);
}

ClientNetwork network_of(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr mapped{};
    std::memcpy(&mapped, &address.s6_addr[kMappedOffset], sizeof mapped);
    return network_of(mapped);
  }
  ClientNetwork network = 0;
  for (std::size_t i = 0; i < sizeof network; ++i) network = network << 8 | address.s6_addr[i];
  return network;
}

}  // namespace

ClientNetwork client_network(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return network_of(reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  if (address.ss_family == AF_INET6) {
    return network_of(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  }
  return 0;
}

ClientNetwork client_network(const std::string& address) {
  in_addr four{};
  if (::inet_pton(AF_INET, address.c_str(), &four) == 1) return network_of(four);
  in6_addr six{};
  // What stands behind a '%' names an interface.
  if (::inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &six) == 1) return network_of(six);
  return 0;
}

}  // namespace naiad
