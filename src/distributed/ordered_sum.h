#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "omni/distributed/collectives.h"

namespace omni::distributed {

// result[i] = inputs[0][i] (+) inputs[1][i] (+) ..., in this order, for fp32, fp64 and int64. `result` may be
// one of the inputs.
void reduce_in_order(std::span<const void* const> inputs, void* result, std::int64_t count,
                     at::ScalarType type, Reduction reduction);

}  // namespace omni::distributed
