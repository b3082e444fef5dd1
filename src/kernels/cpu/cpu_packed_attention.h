#pragma once

#include "cpu_attention_call.h"

namespace omni::kernels {

// The kernels, for fp32 and bf16 tensors on the CPU whose head sizes they take (attention_path.h).
//   query [N, heads, head_dim], key and value [M, key_value_heads, head_dim] -> [N, heads, head_dim]
// N and M are the work's rows and keys. Differentiable in all three.
at::Tensor cpu_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                         AttentionWork work);

}  // namespace omni::kernels
