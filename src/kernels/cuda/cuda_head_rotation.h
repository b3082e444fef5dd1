#pragma once

#include "../projected_heads.h"

namespace omni::kernels {

// Norm and rotation of the queries and keys of qkv by the plug-in's kernels, on a GPU, fp32 or bf16; differentiable.
// The values are a view of qkv. Throws Error(usage) for head sizes that there is no kernel for.
ProjectedHeads cuda_norm_and_rotate(const at::Tensor& qkv, const RotaryAttention& options);

}  // namespace omni::kernels
