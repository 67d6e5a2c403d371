#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace naiad::test {

struct HttpAnswer {
  int status = 0;
  std::string head;                           // as received, without the blank line
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
};

// A blocking client that reads answers with code of its own. A server that does not answer fails the test
// after a while.
class HttpClient {
 public:
  // Takes over a connected socket.
  explicit HttpClient(int fd) : fd_(fd) {
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  HttpClient(HttpClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), held_(std::move(other.held_)) {}
  HttpClient& operator=(HttpClient&&) = delete;
  ~HttpClient() { hang_up(); }

  static HttpClient to_port(std::uint16_t port) {
    const int fd = try_connect(port);
    REQUIRE(fd >= 0);
    return HttpClient(fd);
  }
  // -1 when nobody listens.
  static int try_connect(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    return -1;
  }

  void hang_up() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void shut_sending() { shutdown(fd_, SHUT_WR); }
  int fd() const { return fd_; }

  // False when the server has closed the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // The next answer; status 0 when the connection ends instead.
  HttpAnswer answer(bool to_head = false) {
    HttpAnswer answer;
    const std::string head = take_until("\r\n\r\n");
    if (head.size() < 12) return answer;
    answer.head = head.substr(0, head.size() - 4);
    answer.status = std::atoi(head.substr(9, 3).c_str());
    read_fields(answer);
    if (to_head || answer.status == 204 || answer.status == 304 || answer.status < 200) return answer;
    if (answer.fields.count("content-length") != 0) {
      answer.body = take(std::stoul(answer.fields["content-length"]));
    } else if (answer.fields.count("transfer-encoding") != 0) {
      answer.body = take_chunks();
    } else {
      answer.body = rest();
    }
    return answer;
  }
  HttpAnswer ask(std::string_view request) {
    send(request);
    return answer();
  }
  // All until the server closes.
  std::string rest() {
    while (more()) {
    }
    return std::exchange(held_, {});
  }
  bool at_end() { return held_.empty() && !more(); }

 private:
  bool more() {
    char bytes[16384];
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got > 0) held_.append(bytes, static_cast<std::size_t>(got));
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) FAIL("the server does not answer");
    return got > 0;
  }
  std::string take(std::size_t size) {
    while (held_.size() < size && more()) {
    }
    const std::string taken = held_.substr(0, size);
    held_.erase(0, size);
    return taken;
  }
  std::string take_until(std::string_view end) {
    std::size_t found = held_.find(end);
    while (found == std::string::npos) {
      if (!more()) return std::exchange(held_, {});
      found = held_.find(end);
    }
    return take(found + end.size());
  }
  std::string take_chunks() {
    std::string body;
    while (true) {
      const std::size_t size = std::strtoul(take_until("\r\n").c_str(), nullptr, 16);
      body += take(size);
      if (take(2) != "\r\n" && size != 0) return "(broken chunk)";
      if (size == 0) return body;
    }
  }
  static void read_fields(HttpAnswer& answer) {
    std::size_t at = answer.head.find("\r\n");
    while (at != std::string::npos) {
      const std::size_t next = answer.head.find("\r\n", at + 2);
      const std::string line = answer.head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
      const std::size_t colon = line.find(": ");
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      answer.fields[name] = line.substr(colon + 2);
      at = next;
    }
  }

  int fd_;
  std::string held_;
};

inline std::string http_request(std::string_view method, std::string_view target, std::string_view body,
                                std::string_view fields = {}) {
  std::string request;
  request.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: x\r\n").append(fields);
  if (!body.empty()) request.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return request.append("\r\n").append(body);
}

inline std::string chunked(std::string_view body, std::size_t chunk_size) {
  std::string out;
  for (std::size_t i = 0; i < body.size(); i += chunk_size) {
    const std::string_view chunk = body.substr(i, chunk_size);
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
    out.append(size).append(chunk).append("\r\n");
  }
  return out + "0\r\n\r\n";
}

}  // namespace naiad::test
