#pragma once

namespace omni::kernels {

// Asks the C library to keep freed memory instead of handing it back to the system: a training step allocates
// the same large tensors every time, and fresh pages would be zeroed and faulted in at each step. Call once,
// early, in programs that train. Does nothing where the C library has no such setting.
void keep_freed_memory();

// Gives memory that was freed, and that the C library keeps between what is in use, back to the system: for where
// much was freed that will not be wanted again, such as weights that were converted. Does nothing where the C
// library has no such call.
void return_freed_memory();

}  // namespace omni::kernels
