#pragma once

#include <cstdint>

// One update by AdamW of parameters that lie flat, C interface of libomni_cuda.so; see omni/optimizer/adamw.h.
extern "C" {

// All on the device, [count] where nothing else is said. Where `skipped` is not 0 nothing is written.
struct OmniCudaAdamW {
  float *masters, *first_moment, *second_moment;
  const float* gradients;
  void* values;          // bf16: the masters rounded; or null
  const float* steps;    // scalar: updates with this one
  const float* divisor;  // scalar, of the gradients; null: 1
  const float* skipped;  // scalar; null: 0
  std::int64_t count;
  double learning_rate, beta1, beta2, weight_decay, epsilon;
};

using OmniCudaAdamWFunction = std::int32_t (*)(const OmniCudaAdamW*, void* stream);

std::int32_t omni_cuda_adamw(const OmniCudaAdamW* arguments, void* stream);
}
