#pragma once

#include <cstdint>

#include "types.h"

// Cross-entropy of rows of logits on the GPU, C interface of libomni_cuda.so; see omni/kernels/cross_entropy.h.
extern "C" {

// Per row: log_sum = log(sum(exp(logits))), loss = log_sum - logit of the target, correct where that is the first
// of the largest; and in place of the logits the gradient of weight x (loss + z_loss x log_sum^2). Columns of minus
// infinity are no classes: their gradient is 0.
struct OmniCudaCrossEntropy {
  void* logits;                 // [rows, columns] in `type`
  const std::int32_t* targets;  // [rows], columns
  const float* weights;         // [rows]
  float *losses, *log_sums;     // [rows]
  std::uint8_t* correct;        // [rows]
  std::int64_t rows, columns;
  float z_loss;
  OmniCudaType type;  // fp32 or bf16
};

using OmniCudaCrossEntropyFunction = std::int32_t (*)(const OmniCudaCrossEntropy*, void* stream);

std::int32_t omni_cuda_cross_entropy(const OmniCudaCrossEntropy* arguments, void* stream);
}
