#pragma once

#include <string_view>

#include "omni/kernels/tensor.h"

namespace omni::nn {

// The type that a network computes in, by its name in configs and options: "fp32" or "bf16". Throws
// Error(usage) for another name.
at::ScalarType precision_type(std::string_view name);

}  // namespace omni::nn
