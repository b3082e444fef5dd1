#pragma once

#include "cpu_attention_call.h"

namespace omni::kernels {

// rotary_attention() with norm and rotation in the kernels.
at::Tensor cpu_rotary_attention(const at::Tensor& qkv, const RotaryAttention& options, AttentionWork work);

}  // namespace omni::kernels
