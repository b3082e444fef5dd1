#pragma once

#include <cstdint>

#include "instruction_set.h"

namespace omni::kernels {

// Raw views for the CPU kernels of row_cross_entropy(). bf16 elements are 16 bits. All widths may be any
// number.

struct CrossEntropyCall {
  bool bf16 = false;       // of the logits
  std::int64_t width = 0;  // classes
  void* logits = nullptr;  // [rows, width]; replaced by the gradient of weight * (loss + z_loss * log_sum^2)
  const std::int32_t* targets = nullptr;
  const float* weights = nullptr;
  float z_loss = 0;
  float* losses = nullptr;  // cross-entropy, unweighted
  float* log_sums = nullptr;
  // Whether no logit is above the target's, ties counting for the lower index.
  std::uint8_t* correct = nullptr;
};

struct CrossEntropyKernels {
  void (*differentiate)(const CrossEntropyCall&, std::int64_t first_row, std::int64_t last_row);
};
const CrossEntropyKernels& cross_entropy_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
