#pragma once

#include <ATen/ATen.h>

namespace omni::kernels {

// silu(gate) * up for gate_up [N, 2 * width], gate first (Shazeer 2020, arXiv 2002.05202). -> [N, width]
// One pass over memory in either direction, differentiable; the same on any number of threads.
at::Tensor swiglu(const at::Tensor& gate_up);

}  // namespace omni::kernels
