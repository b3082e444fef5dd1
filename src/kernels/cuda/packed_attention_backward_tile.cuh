#pragma once

#include "head_rows.cuh"
#include "packed_attention_spans.cuh"

namespace omni::cuda {

// What the backward pass knows of one query row besides its vectors; OmniCudaAttentionBackward::row_numbers
// holds them, head by head.
struct alignas(8) QueryNumbers {
  float log2_sum;  // base 2 logarithm of the sum of exp(scale query key)
  float delta;     // output . output gradient, Dao 2023, section 2.3
};

__device__ __forceinline__ QueryNumbers* query_numbers(const OmniCudaAttentionBackward& b, int head) {
  return reinterpret_cast<QueryNumbers*>(b.row_numbers) +
         static_cast<std::int64_t>(head) * b.forward.query_rows;
}

}  // namespace omni::cuda
