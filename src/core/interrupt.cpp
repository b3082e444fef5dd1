#include "omni/core/interrupt.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "omni/core/error.h"

namespace omni {
namespace {

constexpr std::int64_t kDuplicateWindowNs = 1'000'000'000;
constexpr std::int64_t kNumbers = 128;  // more than there are signals

// Signal handlers can reach nothing but a global; this is the only one of the program. When the first signal
// came, in ns, times kNumbers, plus its number; 0: none has.
std::atomic<std::int64_t> g_first_signal{0};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

void handle_signal(int number) {
  const std::int64_t now = monotonic_ns();
  std::int64_t first = 0;
  if (g_first_signal.compare_exchange_strong(first, now * kNumbers + number) ||
      now - first / kNumbers < kDuplicateWindowNs)
    return;
  std::signal(number, SIG_DFL);
  std::raise(number);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = handle_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

bool interrupt_requested() { return g_first_signal != 0; }

ErrorKind stop_kind() {
  return g_first_signal % kNumbers == SIGINT ? ErrorKind::interrupted : ErrorKind::stopped;
}

void throw_if_interrupted() {
  if (interrupt_requested()) fail(ErrorKind::interrupted, "interrupted");
}

}  // namespace omni
