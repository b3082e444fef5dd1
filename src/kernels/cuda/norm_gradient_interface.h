#pragma once

#include <cstdint>

#include "types.h"

// The gradient of the norm of OmniCudaAddNorm, C interface of libomni_cuda.so.
extern "C" {

constexpr std::int64_t kOmniCudaNormGradientRows = 16;     // that one block goes through
constexpr std::int64_t kOmniCudaNormGradientWidth = 8192;  // the widest rows

// gradient = that of sum through the norm, plus sum_gradient. Rows are [rows, width]; null where nothing else is
// said to be needed: sum_gradient, weight, delta_gradient, and weight_gradient with partial.
struct OmniCudaNormGradient {
  const float* sum;
  const void* output_gradient;  // in `type`
  const float* sum_gradient;
  const float* weight;     // [width]
  float* gradient;         // of sum, and so of residual
  void* delta_gradient;    // the same in `type`
  float* weight_gradient;  // [width]
  float* partial;          // workspace [ceil(rows / kOmniCudaNormGradientRows), width]
  std::int64_t rows, width;
  float epsilon;
  std::int32_t centred;  // 1: layer norm, 0: root mean square
  OmniCudaType type;     // fp32 or bf16
};

using OmniCudaNormGradientFunction = std::int32_t (*)(const OmniCudaNormGradient*, void* stream);

std::int32_t omni_cuda_norm_gradient(const OmniCudaNormGradient* arguments, void* stream);
}
