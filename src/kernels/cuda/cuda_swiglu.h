#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// swiglu() by the plug-in's kernels, differentiable; gate_up [N, 2 * width] on a GPU, fp32 or bf16.
at::Tensor cuda_swiglu(const at::Tensor& gate_up);

}  // namespace omni::kernels
