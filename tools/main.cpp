// The `omni` program's start; what it does is in program.h.
#include <unistd.h>

#include <cstdlib>

#include "omni/core/interrupt.h"
#include "program.h"

namespace {

// OpenMP threads that wait by spinning starve every other thread where cores are few: training beside one
// busy process ran at a tenth of its speed. Threads that sleep at once are slow to wake: 21,500 tokens/s of
// training instead of 25,400 with about 0.1 ms of spinning. The run-time library reads the count before main
// begins, so the program starts itself once more with it set. Whoever sets a variable decides.
void wait_with_little_spinning(char** arguments) {
  if (::getenv("OMP_WAIT_POLICY") != nullptr || ::getenv("GOMP_SPINCOUNT") != nullptr) return;
  ::setenv("GOMP_SPINCOUNT", "30000", 1);
  ::execv("/proc/self/exe", arguments);
  // Without /proc the program goes on as it is.
}

}  // namespace

int main(int argument_count, char** arguments) {
  wait_with_little_spinning(arguments);
  omni::install_interrupt_handler();
  return omni::tools::run_program(argument_count, arguments);
}
