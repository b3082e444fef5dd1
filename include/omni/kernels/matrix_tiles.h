#pragma once

namespace omni::kernels {

// Whether the processor multiplies tiles of bf16 (Intel AMX) and the system lets this process use them: products in bf16
// then take a fraction of their time in fp32, ours and the matrix library's.
bool has_matrix_tiles();

}  // namespace omni::kernels
