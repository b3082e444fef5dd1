#pragma once

#include "omni/kernels/tensor.h"

namespace omni::kernels {

// One update of AdamW by the plug-in's kernel, in place, of parameters that lie flat on a GPU; see
// omni/optimizer/adamw.h. All [count] and contiguous, fp32 where nothing else is said.
struct CudaAdamW {
  at::Tensor masters, gradients, first_moment, second_moment;
  at::Tensor values;            // bf16: gets the masters, rounded; undefined: nothing does
  at::Tensor steps;             // []: updates, with this one
  at::Tensor divisor, skipped;  // []: see optimizer::GradientMeasure; may be undefined
  double learning_rate = 0, beta1 = 0, beta2 = 0, weight_decay = 0, epsilon = 0;
};
// Waits for nothing. Throws Error(usage) where the plug-in is not there.
void cuda_adamw(const CudaAdamW& update);

}  // namespace omni::kernels
