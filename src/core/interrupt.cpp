#include "omni/core/interrupt.h"

#include <csignal>

#include "omni/core/error.h"

namespace omni {
namespace {

// Signal handlers can reach nothing but a global flag; this is the only one of the program.
// It holds the signal's number.
volatile std::sig_atomic_t g_interrupt_requested = 0;

void handle_signal(int number) {
  if (g_interrupt_requested != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  g_interrupt_requested = number;
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = handle_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() { return g_interrupt_requested != 0; }

ErrorKind stop_kind() {
  return g_interrupt_requested == SIGTERM ? ErrorKind::stopped : ErrorKind::interrupted;
}

void throw_if_interrupted() {
  if (interrupt_requested()) fail(ErrorKind::interrupted, "interrupted");
}

}  // namespace omni
