#pragma once

#include <string>

#include "omni/kernels/attention_spans.h"
#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Attention of causal documents by cuDNN, which LibTorch brings: one call for each run of documents of one length.
// Shapes as in packed_attention; differentiable.
at::Tensor cudnn_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           const AttentionSpans& spans);
// Why it cannot run; empty where it can.
std::string cudnn_refusal(const at::Tensor& query, const AttentionSpans& spans);

}  // namespace omni::kernels
