#pragma once

#include "numeric.cuh"
#include "plugin_interface.h"

namespace omni::cuda {

constexpr int kNormThreads = 256;  // one block of threads per row
constexpr int kNormSharedBytes = kNormThreads / kWarp * static_cast<int>(sizeof(float));

// The sum over the block, for every thread. `shared` holds one number per warp.
__device__ __forceinline__ float block_sum(float x, float* shared) {
  x = group_sum<5>(x);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = x;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < kNormThreads / kWarp; ++warp) total += shared[warp];
  return total;
}

// The row stays in registers between the passes while it fits; what does not is read again.
template <class T>
__global__ void __launch_bounds__(kNormThreads) add_norm(OmniCudaAddNorm a) {
  OMNI_SHARED(float, shared);
  constexpr int kKept = 8;
  float kept[kKept];
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * a.width;
  const T* delta = static_cast<const T*>(a.delta);
  const auto value = [&](std::int64_t d) {
    return a.residual[row + d] + (delta ? to_float(delta[row + d]) : 0.0f);
  };

  float total = 0;
  int slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kNormThreads, ++slot) {
    const float x = value(d);
    if (slot < kKept) kept[slot] = x;
    if (a.sum) a.sum[row + d] = x;
    total += x;
  }
  const float width = static_cast<float>(a.width);
  const float mean = a.centred ? block_sum(total, shared) / width : 0.0f;
  float squares = 0;
  slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kNormThreads, ++slot) {
    const float x = (slot < kKept ? kept[slot] : value(d)) - mean;
    squares += x * x;
  }
  const float factor = rsqrtf(block_sum(squares, shared) / width + a.epsilon);
  T* output = static_cast<T*>(a.output);
  slot = 0;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kNormThreads, ++slot) {
    const float x = ((slot < kKept ? kept[slot] : value(d)) - mean) * factor;
    assign(output[row + d], a.weight ? x * a.weight[d] : x);
  }
}

}  // namespace omni::cuda
