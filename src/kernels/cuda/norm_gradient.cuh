#pragma once

#include "norm_gradient_interface.h"
#include "numeric.cuh"

namespace omni::cuda {

constexpr int kNormGradientThreads = 256;  // one block of threads for some rows, one after the other
constexpr int kNormGradientWarps = kNormGradientThreads / kWarp;
constexpr int kNormGradientSums = 3;  // over a row, at a time
constexpr int kNormGradientSharedBytes =
    kNormGradientSums * kNormGradientWarps * static_cast<int>(sizeof(float));

// Sums over the block, for every thread.
template <int kCount>
__device__ __forceinline__ void block_sums(float (&x)[kCount], float* shared) {
  static_assert(kCount <= kNormGradientSums);
#pragma unroll
  for (int i = 0; i < kCount; ++i) x[i] = group_sum<5>(x[i]);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) shared[i * kNormGradientWarps + threadIdx.x / kWarp] = x[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    x[i] = 0;
    for (int warp = 0; warp < kNormGradientWarps; ++warp) x[i] += shared[i * kNormGradientWarps + warp];
  }
}

// With r = 1 / sqrt(mean(x^2) + epsilon) of a row x (less its mean where the norm is centred) and g = output gradient x
// weight, x gets r (g - x r^2 mean(g x)), less the mean of g where the norm is centred. A thread has kSlots columns of
// every row, so that its share of the weight's gradient stays in registers.
template <class T, int kSlots>
__global__ void __launch_bounds__(kNormGradientThreads, kSlots <= 16 ? 2 : 1)
    norm_gradient(OmniCudaNormGradient a) {
  OMNI_SHARED(float, shared);
  const float width = static_cast<float>(a.width);
  float weight[kSlots], weight_sums[kSlots];
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::int64_t column = threadIdx.x + slot * kNormGradientThreads;
    weight[slot] = column < a.width && a.weight ? a.weight[column] : 1.0f;
    weight_sums[slot] = 0;
  }
  const std::int64_t first = blockIdx.x * kOmniCudaNormGradientRows;
  const std::int64_t last = min(first + kOmniCudaNormGradientRows, a.rows);
  for (std::int64_t row = first; row < last; ++row) {
    float x[kSlots], g[kSlots], sums[3] = {0, 0, 0};
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::int64_t column = threadIdx.x + slot * kNormGradientThreads, place = row * a.width + column;
      const bool own = column < a.width;
      x[slot] = own ? a.sum[place] : 0.0f;
      g[slot] = own ? to_float(static_cast<const T*>(a.output_gradient)[place]) : 0.0f;
    }
    if (a.centred) {
      float total[1] = {0};
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) total[0] += x[slot];
      block_sums(total, shared);
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot)
        if (threadIdx.x + slot * kNormGradientThreads < a.width) x[slot] -= total[0] / width;
    }
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const float own = g[slot] * weight[slot];
      sums[0] += x[slot] * x[slot];
      sums[1] += own;
      sums[2] += own * x[slot];
    }
    block_sums(sums, shared);
    const float factor = rsqrtf(sums[0] / width + a.epsilon);
    const float mean = a.centred ? sums[1] / width : 0.0f, slope = sums[2] / width * factor * factor;
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::int64_t column = threadIdx.x + slot * kNormGradientThreads, place = row * a.width + column;
      if (column >= a.width) continue;
      weight_sums[slot] += g[slot] * x[slot] * factor;
      float gradient = factor * (g[slot] * weight[slot] - mean - x[slot] * slope);
      if (a.sum_gradient) gradient += a.sum_gradient[place];
      a.gradient[place] = gradient;
      if (a.delta_gradient) assign(static_cast<T*>(a.delta_gradient)[place], gradient);
    }
  }
  if (!a.weight_gradient) return;
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::int64_t column = threadIdx.x + slot * kNormGradientThreads;
    if (column < a.width) a.partial[blockIdx.x * a.width + column] = weight_sums[slot];
  }
}

}  // namespace omni::cuda
