#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// x [N, in] weight [out, in]^T + bias -> [N, out] in the type of x, for a weight that is kept in fp32 and
// used in the type of x through `cast` (the same values in that type; pass the weight itself where the types
// agree). The gradient goes to `weight` in fp32.
at::Tensor cast_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& cast,
                       const at::Tensor& bias);

}  // namespace omni::kernels
