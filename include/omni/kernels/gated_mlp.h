#pragma once

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// A weight [out, in] that is kept in fp32 and used in the type of the rows through `cast`, as in cast_linear().
struct CastMatrix {
  at::Tensor weight, cast;
};

// x [n, width] -> swiglu(x gate_up^T) down^T [n, width], differentiable: what cast_linear() and swiglu() give one after the
// other, from gate_up [2 * inner, width], gate first, and down [width, inner]. Where the products are made here (see
// linear_products.h) rows pass through all layers, and back, a few at a time, while the cache holds them. `path`: of
// swiglu().
at::Tensor gated_mlp(const at::Tensor& x, const CastMatrix& gate_up, const CastMatrix& down,
                     KernelPath path = KernelPath::library);

}  // namespace omni::kernels
