#include "network_address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "omni/core/error.h"

namespace omni::distributed {
namespace {

std::string text_of(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return {};
  return text.data();
}

bool is_loopback(const sockaddr* address) {
  constexpr std::uint32_t kLoopbackNet = 127, kNetShift = 24;
  if (address->sa_family == AF_INET)
    return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> kNetShift == kLoopbackNet;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

std::string first_other_interface() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    const bool usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                        (one->ifa_flags & IFF_UP) != 0 && !is_loopback(one->ifa_addr);
    if (usable) return text_of(one->ifa_addr, sizeof(sockaddr_in));
  }
  return {};
}

// No packet is sent: connecting a datagram socket only chooses the way.
std::string local_end(const addrinfo& to) {
  const int socket = ::socket(to.ai_family, SOCK_DGRAM, 0);
  if (socket < 0) return {};
  sockaddr_storage here{};
  socklen_t size = sizeof here;
  auto* address = reinterpret_cast<sockaddr*>(&here);
  const bool known =
      ::connect(socket, to.ai_addr, to.ai_addrlen) == 0 && ::getsockname(socket, address, &size) == 0;
  ::close(socket);
  return known && !is_loopback(address) ? text_of(address, size) : std::string();
}

}  // namespace

std::string address_towards(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &first);
  if (error != 0) fail(ErrorKind::io, "looking up the host '", host, "': ", ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(first, &::freeaddrinfo);
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    std::string address = local_end(*one);
    if (!address.empty()) return address;
  }
  std::string address = first_other_interface();
  if (address.empty())
    fail(ErrorKind::io, "looking for the way to the host '", host,
         "': this host has no network interface but its own loop");
  return address;
}

}  // namespace omni::distributed
