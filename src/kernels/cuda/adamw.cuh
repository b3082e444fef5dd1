#pragma once

#include <cmath>

#include "adamw_interface.h"
#include "vector_rows.cuh"

namespace omni::cuda {

constexpr int kAdamWThreads = 256;
constexpr int kAdamWVectors = 4;  // that a thread takes of each buffer

// What is equal for all elements, from scalars on the device.
struct AdamWFactors {
  float scale;         // of gradients
  float rest1, rest2;  // 1 - beta1, 1 - beta2
  float step;          // learning rate / (1 - beta1^steps)
  float root_factor;   // 1 / sqrt(1 - beta2^steps)
  float kept;          // of a weight, besides the step
};
constexpr int kAdamWSharedBytes = static_cast<int>(sizeof(AdamWFactors));

__device__ __forceinline__ AdamWFactors adamw_factors(const OmniCudaAdamW& a, AdamWFactors* shared) {
  // In fp64: 1 - beta2^steps is next to nothing in the first steps.
  if (threadIdx.x == 0) {
    const double steps = *a.steps;
    AdamWFactors factors;
    factors.scale = a.divisor ? 1.0f / *a.divisor : 1.0f;
    factors.rest1 = static_cast<float>(1.0 - a.beta1);
    factors.rest2 = static_cast<float>(1.0 - a.beta2);
    factors.step = static_cast<float>(a.learning_rate / (1.0 - pow(a.beta1, steps)));
    factors.root_factor = static_cast<float>(1.0 / sqrt(1.0 - pow(a.beta2, steps)));
    factors.kept = static_cast<float>(1.0 - a.learning_rate * a.weight_decay);
    *shared = factors;
  }
  __syncthreads();
  return *shared;
}

template <int kCount>
__device__ __forceinline__ void adamw_update(const OmniCudaAdamW& a, const AdamWFactors& factors,
                                             std::int64_t first) {
  float weight[kCount], mean[kCount], square[kCount], gradient[kCount];
  load_vector(a.masters + first, weight);
  load_vector(a.first_moment + first, mean);
  load_vector(a.second_moment + first, square);
  load_vector(a.gradients + first, gradient);
  const float beta1 = static_cast<float>(a.beta1), beta2 = static_cast<float>(a.beta2);
  const float epsilon = static_cast<float>(a.epsilon);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float g = gradient[k] * factors.scale;
    mean[k] = beta1 * mean[k] + factors.rest1 * g;
    square[k] = beta2 * square[k] + factors.rest2 * g * g;
    weight[k] = weight[k] * factors.kept -
                factors.step * mean[k] / (sqrtf(square[k]) * factors.root_factor + epsilon);
  }
  store_vector(a.masters + first, weight);
  store_vector(a.first_moment + first, mean);
  store_vector(a.second_moment + first, square);
  if (!a.values) return;
  __nv_bfloat16* values = static_cast<__nv_bfloat16*>(a.values) + first;
  if constexpr (kCount == 4) {
    using B = __nv_bfloat16;
    *reinterpret_cast<uint2*>(values) =
        make_uint2(pack<B>(weight[0], weight[1]), pack<B>(weight[2], weight[3]));
  } else {
    assign(values[0], weight[0]);
  }
}

// kCount: 4, or 1 where the buffers are not aligned.
template <int kCount>
__global__ void __launch_bounds__(kAdamWThreads) adamw(OmniCudaAdamW a) {
  OMNI_SHARED(AdamWFactors, shared);
  if (a.skipped && *a.skipped != 0.0f) return;
  const AdamWFactors factors = adamw_factors(a, shared);
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * kAdamWThreads * kAdamWVectors;
#pragma unroll
  for (int i = 0; i < kAdamWVectors; ++i) {
    const std::int64_t first = (block + i * kAdamWThreads + threadIdx.x) * kCount;
    if (first + kCount <= a.count) adamw_update<kCount>(a, factors, first);
  }
}

}  // namespace omni::cuda
