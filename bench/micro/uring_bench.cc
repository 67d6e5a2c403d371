// Would io_uring make the floor lower? The same echo of small messages twice, with nothing of naiad in it: on
// bare epoll with recv and send, and on io_uring with multishot receives into a ring of provided buffers,
// whose completions are taken in batches. Linux 6.1 or newer.
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "echo_client.h"

namespace naiad {
namespace {

constexpr std::size_t kMessageBytes = 68;  // 64 behind their length: a message is received whole
constexpr unsigned kNumBuffers = 256;
constexpr std::size_t kBufferBytes = 256;

// What both servers have: a listening socket, a thread, and its CPU time.
class BareServer {
 public:
  BareServer() {
    ListenOptions options;
    options.address = "127.0.0.1";
    ListeningSockets sockets = listen_on(options);
    port_ = sockets.port;
    listener_ = std::move(sockets.fds.front());
  }
  virtual ~BareServer() = default;
  BareServer(const BareServer&) = delete;
  BareServer& operator=(const BareServer&) = delete;

  std::uint16_t port() const { return port_; }
  // CPU time that the thread has used.
  double cpu_us() {
    clockid_t clock{};
    timespec time{};
    pthread_getcpuclockid(thread_.native_handle(), &clock);
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
  }

 protected:
  void start() {
    thread_ = std::thread([this] { serve(); });
  }
  void stop() {
    const std::uint64_t one = 1;
    if (write(end_.get(), &one, sizeof one) < 0) bench::fail("write");
    thread_.join();
  }
  virtual void serve() = 0;

  OwnedFd listener_;
  OwnedFd end_{eventfd(0, EFD_CLOEXEC)};

 private:
  std::uint16_t port_ = 0;
  std::thread thread_;
};

class EpollServer final : public BareServer {
 public:
  EpollServer() { start(); }
  ~EpollServer() override { stop(); }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) bench::fail("epoll_ctl");
  }
  void serve() override {
    watch(listener_.get());
    watch(end_.get());
    std::vector<OwnedFd> connections;
    std::array<epoll_event, 64> events{};
    std::array<char, kBufferBytes> buffer{};
    while (true) {
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == end_.get()) return;
        if (fd == listener_.get()) {
          connections.emplace_back(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
          watch(connections.back().get());
          continue;
        }
        const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
        if (size > 0 && send(fd, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) {
          bench::fail("send");
        }
        if (size == 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      }
    }
  }

  OwnedFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
};

class UringServer final : public BareServer {
 public:
  UringServer() { start(); }
  ~UringServer() override { stop(); }

 private:
  enum class What : unsigned char { kAccept, kReceive, kSend, kEnd };

  io_uring_sqe* next(What what, int fd, unsigned buffer = 0) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    sqe->user_data = static_cast<std::uint64_t>(what) | static_cast<std::uint64_t>(buffer) << 8 |
                     static_cast<std::uint64_t>(fd) << 32;
    return sqe;
  }
  void accept_more() {
    io_uring_sqe* const sqe = next(What::kAccept, listener_.get());
    const auto data = sqe->user_data;
    io_uring_prep_multishot_accept(sqe, listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    sqe->user_data = data;
  }
  void receive_more(int fd) {
    io_uring_sqe* const sqe = next(What::kReceive, fd);
    const auto data = sqe->user_data;
    io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = data;
  }
  void give_back(unsigned buffer) {
    io_uring_buf_ring_add(buffers_, data_[buffer].data(), kBufferBytes, static_cast<unsigned short>(buffer),
                          io_uring_buf_ring_mask(kNumBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }
  void open() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN;
    if (io_uring_queue_init_params(512, &ring_, &params) != 0) bench::fail("io_uring_queue_init_params");
    void* memory = nullptr;
    if (posix_memalign(&memory, 4096, kNumBuffers * sizeof(io_uring_buf)) != 0) bench::fail("posix_memalign");
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_ring_init(buffers_);
    io_uring_buf_reg group{};
    group.ring_addr = reinterpret_cast<std::uint64_t>(buffers_);
    group.ring_entries = kNumBuffers;
    if (io_uring_register_buf_ring(&ring_, &group, 0) != 0) bench::fail("io_uring_register_buf_ring");
    for (unsigned i = 0; i < kNumBuffers; ++i) give_back(i);
  }
  void serve() override {
    open();
    accept_more();
    io_uring_sqe* const sqe = next(What::kEnd, end_.get());
    const auto data = sqe->user_data;
    io_uring_prep_poll_add(sqe, end_.get(), EPOLLIN);
    sqe->user_data = data;
    std::vector<OwnedFd> connections;
    bool ends = false;
    while (!ends) {
      io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* cqe = nullptr;
      unsigned head = 0;
      unsigned count = 0;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        ++count;
        ends = take(*cqe, connections) || ends;
      }
      io_uring_cq_advance(&ring_, count);
    }
    io_uring_queue_exit(&ring_);
    free(buffers_);
  }
  // True at the end.
  bool take(const io_uring_cqe& cqe, std::vector<OwnedFd>& connections) {
    const int fd = static_cast<int>(cqe.user_data >> 32);
    switch (static_cast<What>(cqe.user_data & 0xFF)) {
      case What::kAccept:
        connections.emplace_back(cqe.res);
        receive_more(cqe.res);
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) accept_more();
        break;
      case What::kReceive: {
        if (cqe.res > 0) {
          const unsigned buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
          io_uring_sqe* const sqe = next(What::kSend, fd, buffer);
          const auto data = sqe->user_data;
          io_uring_prep_send(sqe, fd, data_[buffer].data(), static_cast<std::size_t>(cqe.res), MSG_NOSIGNAL);
          sqe->user_data = data;
        }
        if (cqe.res > 0 && (cqe.flags & IORING_CQE_F_MORE) == 0) receive_more(fd);
        break;
      }
      case What::kSend:
        give_back(static_cast<unsigned>(cqe.user_data >> 8) & 0xFFFF);
        break;
      case What::kEnd:
        return true;
    }
    return false;
  }

  io_uring ring_{};
  io_uring_buf_ring* buffers_ = nullptr;
  std::array<std::array<char, kBufferBytes>, kNumBuffers> data_{};
};

}  // namespace
}  // namespace naiad

int main() {
  using naiad::bench::bench_echo;
  static_assert(naiad::kMessageBytes <= naiad::kBufferBytes);
  naiad::EpollServer epoll;
  naiad::UringServer uring;
  for (int turn = 0; turn < 3; ++turn) {
    for (const auto& [connections, rounds] :
         {std::pair(1, 20'000), std::pair(8, 5'000), std::pair(32, 2'000)}) {
      const auto count = static_cast<std::size_t>(connections);
      bench_echo("epoll", epoll, 64, count, rounds);
      bench_echo("io_uring", uring, 64, count, rounds);
    }
  }
  return 0;
}
