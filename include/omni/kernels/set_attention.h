#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Attention inside sets (Lee et al. 2019, arXiv 1810.00825): every row of a set sees all keys of the same
// set, or, `causal`, as many as it has rows up to itself.
//   query       [B, N, heads, head_dim]
//   key, value  [B, M, heads, head_dim]; causal needs M == N
// -> [B, N, heads, head_dim] in the dtype of query. Differentiable. The project's kernel where it can (CPU:
// fp32 and bf16, head sizes that are multiples of 16 up to 512), else PyTorch's scaled_dot_product_attention.
at::Tensor set_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                         bool causal = false);

}  // namespace omni::kernels
