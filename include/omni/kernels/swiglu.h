#pragma once

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// silu(gate) * up for gate_up [N, 2 * width], gate first (Shazeer 2020, arXiv 2002.05202). -> [N, width]
// One pass over memory in either direction (on a GPU with KernelPath::fused alone), differentiable; the same on
// any number of threads.
at::Tensor swiglu(const at::Tensor& gate_up, KernelPath path = KernelPath::library);

}  // namespace omni::kernels
