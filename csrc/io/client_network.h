#pragma once

#include <cstdint>
#include <string>

namespace naiad {

// Where a connection comes from, as far as limits tell clients apart: an IPv4 address, or the first half of
// an IPv6 one, all of whose other half one customer may use. 0: not known.
using ClientNetwork = std::uint64_t;

// Of the other end of a socket. Any thread.
ClientNetwork client_network(int fd);
// Of an address as text. Any thread.
ClientNetwork client_network(const std::string& address);

}  // namespace naiad
