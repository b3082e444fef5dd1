#pragma once

#include "omni/kernels/rotary_attention.h"

namespace omni::kernels {

// Views of projected rows [N, (heads + 2 * key_value_heads) * head_size]: [N, heads, head_size] and twice
// [N, key_value_heads, head_size].
struct ProjectedHeads {
  at::Tensor query, key, value;
};

inline ProjectedHeads projected_heads(const at::Tensor& qkv, const RotaryAttention& o) {
  const at::Tensor all = qkv.view({qkv.size(0), o.heads + 2 * o.key_value_heads, o.head_size});
  return {all.narrow(1, 0, o.heads), all.narrow(1, o.heads, o.key_value_heads),
          all.narrow(1, o.heads + o.key_value_heads, o.key_value_heads)};
}

}  // namespace omni::kernels
