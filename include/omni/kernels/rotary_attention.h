#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/kernels/fused_kernels.h"
#include "omni/kernels/packed_attention.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// What happens to queries and keys between their projection and the attention.
struct RotaryAttention {
  std::int64_t heads = 0, key_value_heads = 0, head_size = 0;
  // Rotation (Su et al. 2021, arXiv 2104.09864): cosines and sines of each row's angles, [N, head_size / 2]
  // fp32; undefined for none. interleaved: pairs are (2i, 2i + 1); else (i, i + head_size / 2).
  at::Tensor cosine, sine;
  bool interleaved = false;
  // RMS norm of each head before the rotation: weights [groups, head_size] fp32, undefined for none; the
  // group of each row in row_group [N] uint8, undefined where there is one group.
  at::Tensor query_norm, key_norm;
  at::Tensor row_group;
  double norm_epsilon = 1e-5;
  // Of norm and rotation on a GPU.
  KernelPath rotation_path = KernelPath::library;
};

// Attention over spans (see packed_attention.h) from the projected rows: qkv
// [N, (heads + 2 * key_value_heads) * head_size] holds queries, keys, values. -> [N, heads * head_size] in the
// type of qkv. Differentiable in qkv and the norm weights. On the CPU, norm, rotation and attention are one
// kernel.
at::Tensor rotary_attention(const at::Tensor& qkv, const RotaryAttention& options,
                            const AttentionSpans& spans, AttentionPath path = AttentionPath::automatic);
// The same for causal documents.
at::Tensor rotary_attention(const at::Tensor& qkv, const RotaryAttention& options,
                            std::span<const std::int64_t> document_starts);

// The norm and rotation alone through tensor operations: x [N, heads, head_size] -> the same shape.
at::Tensor norm_and_rotate(const at::Tensor& x, const RotaryAttention& options,
                           const at::Tensor& norm_weight);

}  // namespace omni::kernels
