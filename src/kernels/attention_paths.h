#pragma once

#include <ATen/ATen.h>

#include "omni/kernels/packed_attention.h"

namespace omni::kernels {

// Which path runs for tensors like `query` with this head size; logs the reason once per kind. Throws
// Error(usage) where `wanted` cannot run.
AttentionPath choose_attention_path(const at::Tensor& query, std::int64_t head_size,
                                    const AttentionSpans& spans, AttentionPath wanted);

bool has_cpu_attention_kernel(const at::Tensor& query, std::int64_t head_size);

// The paths without a kernel. Shapes as in packed_attention.
at::Tensor library_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                             const AttentionSpans& spans);
at::Tensor reference_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const AttentionSpans& spans);

}  // namespace omni::kernels
