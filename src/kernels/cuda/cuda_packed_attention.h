#pragma once

#include "cuda_attention.h"
#include "omni/kernels/packed_attention.h"

namespace omni::kernels {

// packed_attention by the kernels of the CUDA plug-in, for tensors that cuda_attention_refusal has nothing
// against. Every run gives the same bits where PyTorch is told to be deterministic
// (at::globalContext().setDeterministicAlgorithms).
at::Tensor cuda_packed_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                 const AttentionSpans& spans,
                                 CudaAttentionKernels kernels = CudaAttentionKernels::general);

}  // namespace omni::kernels
