#pragma once

namespace omni {

// Ctrl-C and SIGTERM ask long work to stop cleanly; a second signal ends the process at once.
void install_interrupt_handler();
bool interrupt_requested();
void throw_if_interrupted();  // throws Error(interrupted)

}  // namespace omni
