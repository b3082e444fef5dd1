#pragma once

namespace omni::kernels {

// Gives memory that was freed, and that the allocator keeps between what is in use, back to the system: for where much was
// freed that will not be wanted again, such as weights that were converted. Does nothing where the C library has no such call.
void return_freed_memory();

}  // namespace omni::kernels
