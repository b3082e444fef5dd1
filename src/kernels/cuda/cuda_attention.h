#pragma once

#include <string>

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// Which of the plug-in's kernels attend: those for every GPU from sm_80 on, or those for Hopper (sm_90a), which take
// bf16 at head sizes from 64 to 128 and are not taken by themselves.
enum class CudaAttentionKernels { general, hopper };

// Attention on the GPU by the kernels of the plug-in, below autograd. Tensors are on one CUDA device.
struct CudaAttention {
  at::Tensor query;       // [rows, heads, head_size] bf16 or fp16, last dimension contiguous
  at::Tensor key, value;  // [key_rows, key_value_heads, head_size] in the type of query
  // [rows] int32, contiguous, never decreasing: row i sees keys key_first[i] <= j < key_last[i].
  at::Tensor key_first, key_last;
  double scale = 0;  // of the scores
  CudaAttentionKernels kernels = CudaAttentionKernels::general;
};

// Why there is no kernel for such tensors, shaped as in CudaAttention; empty where there is one. Then forward
// and backward both work.
std::string cuda_attention_refusal(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                   CudaAttentionKernels kernels = CudaAttentionKernels::general);

struct CudaAttentionResult {
  at::Tensor output;   // [rows, heads, head_size]; 0 for rows that see nothing
  at::Tensor log_sum;  // [heads, rows] fp32: log of the sum of exp(scale query key), -inf for such rows
};
CudaAttentionResult cuda_attention_forward(const CudaAttention& call);

struct CudaAttentionGradients {
  at::Tensor query, key, value;  // in the shapes and the type of the inputs, last two dimensions contiguous
};
// `output_gradient` in the shape and type of output. With `deterministic` every run gives the same bits;
// without, the gradient of the query may be summed in any order, which is faster, by the general kernels. `targets` may hold the
// tensors to write (views of one buffer, say); undefined ones are allocated.
CudaAttentionGradients cuda_attention_backward(const CudaAttention& call, const CudaAttentionResult& result,
                                               const at::Tensor& output_gradient, bool deterministic,
                                               const CudaAttentionGradients& targets = {});

}  // namespace omni::kernels
