#pragma once

#include <cstdint>

#include "types.h"

// Attention over a packed sequence on the GPU, C interface of libomni_cuda.so. Launchers take device pointers
// and a cudaStream_t, do not wait, and return 0, a cudaError_t or kOmniCudaUnsupported (before anything was
// started).
extern "C" {

// [rows, heads, head_size], head_size contiguous, strides in elements. Data aligned to 16 bytes, strides
// multiples of 8.
struct OmniCudaHeads {
  void* data;
  std::int64_t row_stride, head_stride;
};

// output = softmax(scale query key^T) value over the keys that each row sees, with an online softmax (Dao
// 2023, arXiv 2307.08691). Query head h reads key-value head h / (heads / key_value_heads). Row i sees keys
// key_first[i] <= j < key_last[i]. Both arrays never decrease, which covers causal and bidirectional spans
// and documents that do not see each other. A row that sees nothing gets 0, and -inf as log_sum.
struct OmniCudaAttention {
  OmniCudaHeads query, key, value, output;
  float* log_sum;  // [heads, query_rows]: natural log of the sum of exp(scale query key)
  const std::int32_t *key_first, *key_last;  // [query_rows]
  std::int32_t query_rows, key_rows;
  std::int32_t heads, key_value_heads;
  std::int32_t head_size;  // a multiple of 8, at most 256
  float scale;             // above 0
  OmniCudaType type;       // bf16 or fp16, of query, key, value, output and their gradients
};

// Takes what the forward call left in output and log_sum. With query_sums the gradient of the query is summed
// by atomics (its bits vary from run to run), without by a kernel of its own. Workspaces are aligned to 16
// bytes.
struct OmniCudaAttentionBackward {
  OmniCudaAttention forward;
  OmniCudaHeads output_gradient, query_gradient, key_gradient, value_gradient;
  float* row_numbers;  // workspace [heads, query_rows, 2]
  float* query_sums;   // workspace [query_rows, heads, head_size], or null: deterministic
};

using OmniCudaAttentionFunction = std::int32_t (*)(const OmniCudaAttention*, void* stream);
using OmniCudaAttentionBackwardFunction = std::int32_t (*)(const OmniCudaAttentionBackward*, void* stream);
// Whether forward and backward launchers take such arguments on the current device; the backward's pointers
// are not looked at. 1 yes, 0 no.
using OmniCudaAttentionSupportsFunction = std::int32_t (*)(const OmniCudaAttention*);
// Whether gradients can be summed by atomics at this head size: 1 yes, 0 no.
using OmniCudaAttentionAtomicFunction = std::int32_t (*)(std::int32_t head_size);

std::int32_t omni_cuda_attention_forward(const OmniCudaAttention* arguments, void* stream);
std::int32_t omni_cuda_attention_backward(const OmniCudaAttentionBackward* arguments, void* stream);
std::int32_t omni_cuda_attention_supports(const OmniCudaAttention* arguments);
std::int32_t omni_cuda_attention_atomic(std::int32_t head_size);
}
