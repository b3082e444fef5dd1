#pragma once

#include <string>

#include "omni/kernels/packed_attention.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Which path runs for these tensors, shaped as in packed_attention; logs the reason once per kind. Throws
// Error(usage) where `wanted` cannot run.
AttentionPath choose_attention_path(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                    const AttentionSpans& spans, AttentionPath wanted);

// Why the kernels cannot take them; empty where they can. Shaped [..., heads, head_dim].
std::string kernel_refusal(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value);

// The paths without a kernel. Shapes as in packed_attention.
at::Tensor library_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                             const AttentionSpans& spans);
at::Tensor reference_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const AttentionSpans& spans);

}  // namespace omni::kernels
