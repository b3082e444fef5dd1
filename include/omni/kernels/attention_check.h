#pragma once

#include <cstdint>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Refuses the path `kernel` for heads of that size and type on that device, as attention itself would later. Throws
// Error(usage).
void require_attention_kernel(std::int64_t head_size, at::ScalarType type, at::Device device);

}  // namespace omni::kernels
