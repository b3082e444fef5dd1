#pragma once

#include "omni/core/error.h"

namespace omni {

// Ctrl-C, SIGTERM and SIGUSR1 ask long work to stop cleanly; a second signal ends the process at once, unless it comes
// within a second of the first: terminals and launchers send two.
void install_interrupt_handler();
bool interrupt_requested();   // thread-safe
void throw_if_interrupted();  // throws Error(interrupted)
// How a run ends that was asked to stop and has saved itself: interrupted by Ctrl-C, stopped by SIGTERM or
// SIGUSR1, which launchers and schedulers send and after which they may start the run again.
ErrorKind stop_kind();

}  // namespace omni
