// The `omni` program's start; what it does is in program.h.
#include <cstdlib>

#include "omni/core/interrupt.h"
#include "program.h"

#if defined(__clang__)
#define OMNI_BEFORE_SANITIZERS __attribute__((disable_sanitizer_instrumentation))
#else
#define OMNI_BEFORE_SANITIZERS \
  __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined, no_stack_protector))
#endif

namespace {

// OpenMP threads that wait by spinning starve every other thread where cores are few: training beside one
// busy process ran at a tenth of its speed. Threads that sleep at once are slow to wake: 21,500 tokens/s of
// training instead of 25,400 with about 0.1 ms of spinning. The run-time library reads the count when it is
// loaded. So the count is put among the variables that the system hands to the program before any library is
// initialised: the functions of .preinit_array run then. There the list of variables has no room for another
// one, so the count stands in the place of one that no library reads while it is loaded, until main() puts both
// where they belong. Where there is no such variable, threads wait as they do by default. Whoever sets a
// variable decides.
char spin_count[] = "GOMP_SPINCOUNT=30000";
constinit char* replaced = nullptr;

OMNI_BEFORE_SANITIZERS bool names(const char* entry, const char* name) {
  while (*name != '\0' && *entry == *name) ++entry, ++name;
  return *name == '\0' && *entry == '=';
}

OMNI_BEFORE_SANITIZERS void wait_with_little_spinning(int, char**, char** environment) {
  char** place = nullptr;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (names(*entry, "GOMP_SPINCOUNT") || names(*entry, "OMP_WAIT_POLICY")) return;
    for (const char* name : {"_", "PATH", "HOME", "PWD", "SHLVL"})
      if (names(*entry, name)) place = entry;
  }
  if (place == nullptr) return;
  replaced = *place;
  *place = spin_count;
}

using BeforeLibraries = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] const BeforeLibraries before_libraries =
    wait_with_little_spinning;

void restore_variables() {
  if (replaced == nullptr) return;
  ::putenv(replaced);
  // For programs that this one starts, though their entry may be the same one already.
  ::setenv("GOMP_SPINCOUNT", "30000", 1);
}

}  // namespace

int main(int argument_count, char** arguments) {
  restore_variables();
  omni::install_interrupt_handler();
  return omni::tools::run_program(argument_count, arguments);
}
