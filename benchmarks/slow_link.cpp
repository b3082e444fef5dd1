// A link of a set rate and delay between two network namespaces of this host, whose kernel need not know either.
//   slow_link FIRST SECOND DEVICE GIGABITS_PER_S DELAY_MS
//     FIRST, SECOND   namespaces of `ip netns`; each gets a device of this name, which the caller gives an address
// Says "ready" when the devices are there, and carries their packets until it is told to end: then what that took of a
// processor. As root. Packets leave one after another at the rate, arrive the delay (one way) after their last bit, and keep
// their order; none is lost. They are those that the kernel hands over before it cuts them for the wire, of up to 64 kB: what
// would hold a real link's headers is not counted.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "omni/core/error.h"

namespace {

using Clock = std::chrono::steady_clock;
using omni::ErrorKind;
using omni::fail;

constexpr std::size_t kHeaderBytes = 10;  // that TUN puts before a packet: virtio_net_hdr
constexpr std::size_t kPacketBytes = (64 << 10) + kHeaderBytes;
constexpr std::size_t kPackets = 256;  // under way at most; those after them wait in the kernel

struct Link {
  double bytes_per_second;
  Clock::duration delay;
};

// The packets of one device, for as long as it is open.
class Device {
 public:
  Device(const std::string& name_space, const std::string& name) {
    enter(name_space);
    file_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    // Whole packets that are cut nowhere, as for a card that would do that.
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name.c_str());
    if (file_ < 0 || ::ioctl(file_, TUNSETIFF, &request) != 0 ||
        ::ioctl(file_, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
      fail(ErrorKind::io, "cannot make the device '", name, "' in the namespace '", name_space,
           "': ", std::strerror(errno), ". Run as root, on a kernel with TUN");
  }
  ~Device() { ::close(file_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  int file() const { return file_; }

 private:
  static void enter(const std::string& name_space) {
    const std::string path = "/run/netns/" + name_space;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool entered = file >= 0 && ::setns(file, CLONE_NEWNET) == 0;
    if (file >= 0) ::close(file);
    if (!entered)
      fail(ErrorKind::io, "cannot enter '", path, "': ", std::strerror(errno),
           ". Make it with `ip netns add`, and run as root");
  }

  int file_;
};

// One way of the link.
class Way {
 public:
  Way(const Device& from, const Device& to, const Link& link)
      : from_(from.file()), to_(to.file()), link_(link), bytes_(kPackets * kPacketBytes) {}

  void carry() {
    for (;;) {
      wait();
      deliver();
      take();
    }
  }

 private:
  struct Packet {
    Clock::time_point due;
    std::size_t size;
  };
  char* place(std::size_t number) { return bytes_.data() + number % kPackets * kPacketBytes; }

  void wait() const {
    timespec left{};
    if (!packets_.empty()) {
      const auto until =
          std::chrono::duration_cast<std::chrono::nanoseconds>(packets_.front().due - Clock::now());
      if (until.count() <= 0) return;
      left = {.tv_sec = until.count() / 1'000'000'000, .tv_nsec = until.count() % 1'000'000'000};
    }
    pollfd coming{.fd = from_, .events = POLLIN, .revents = 0};
    const bool full = packets_.size() == kPackets;
    if (::ppoll(&coming, full ? 0 : 1, packets_.empty() ? nullptr : &left, nullptr) < 0 && errno != EINTR)
      fail(ErrorKind::io, "cannot wait for packets: ", std::strerror(errno));
  }

  void deliver() {
    const Clock::time_point now = Clock::now();
    for (; !packets_.empty() && packets_.front().due <= now; packets_.pop_front()) {
      const char* packet = place(taken_ - packets_.size());
      // A device that is not up yet takes none.
      if (::write(to_, packet, packets_.front().size) < 0 && errno != EIO && errno != EINVAL)
        fail(ErrorKind::io, "cannot hand over a packet: ", std::strerror(errno));
    }
  }

  void take() {
    while (packets_.size() < kPackets) {
      const ::ssize_t size = ::read(from_, place(taken_), kPacketBytes);
      if (size < 0 && (errno == EAGAIN || errno == EIO || errno == EBADFD)) return;
      if (size < 0) fail(ErrorKind::io, "cannot take a packet: ", std::strerror(errno));
      const auto bytes = static_cast<double>(size) - kHeaderBytes;
      free_ =
          std::max(free_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(
                                              std::chrono::duration<double>(bytes / link_.bytes_per_second));
      packets_.push_back({free_ + link_.delay, static_cast<std::size_t>(size)});
      ++taken_;
    }
  }

  int from_, to_;
  Link link_;
  std::vector<char> bytes_;
  std::deque<Packet> packets_;  // under way, the first one first
  std::size_t taken_ = 0;
  Clock::time_point free_;  // when the last packet has left
};

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void run(char** arguments) {
  // The threads inherit what is set here: signals wait for sigwait(), and sleep ends when it is to.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigaddset(&end, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &end, nullptr);
  ::prctl(PR_SET_TIMERSLACK, 1);
  const Device first(arguments[1], arguments[3]), second(arguments[2], arguments[3]);
  const Link link{.bytes_per_second = 1e9 / 8 * std::strtod(arguments[4], nullptr),
                  .delay = std::chrono::duration_cast<Clock::duration>(
                      std::chrono::duration<double, std::milli>(std::strtod(arguments[5], nullptr)))};
  if (!(link.bytes_per_second > 0) || link.delay.count() < 0)
    fail(ErrorKind::usage, "the rate must be above 0 and the delay no less");
  // A packet that is late because a rank computes is not what the link is to add.
  ::setpriority(PRIO_PROCESS, 0, -20);
  std::thread([&] { Way(first, second, link).carry(); }).detach();
  std::thread([&] { Way(second, first, link).carry(); }).detach();
  std::puts("ready");
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&end, &signal);
  std::printf("slow_link: %.2f s of a processor\n", processor_seconds());
  std::fflush(stdout);
  std::_Exit(0);  // the ways never end
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    std::fputs("usage: slow_link FIRST SECOND DEVICE GIGABITS_PER_S DELAY_MS\n", stderr);
    return 2;
  }
  try {
    run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "slow_link: %s\n", error.what());
    return 1;
  }
}
