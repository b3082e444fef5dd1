#pragma once

#include <cstdint>

#include "instruction_set.h"

namespace omni::kernels {

// Raw views for the CPU kernels of add_norm(). bf16 elements are 16 bits. All widths may be any number.

struct NormParameters {
  bool bf16 = false;     // of delta, output and output_gradient
  bool centred = false;  // layer norm: the mean is subtracted
  float epsilon = 0;
  std::int64_t width = 0;
  const float* weight = nullptr;  // [width] or null
};
struct NormForward {
  const float* residual = nullptr;  // [rows, width]
  const void* delta = nullptr;      // added first; may be null
  float* sum = nullptr;             // residual + delta; null where delta is null
  void* output = nullptr;           // norm(sum) * weight
};
struct NormBackward {
  const float* sum = nullptr;
  const void* output_gradient = nullptr;
  const float* sum_gradient = nullptr;  // arriving at the sum from elsewhere; may be null
  float* gradient = nullptr;            // of sum, and so of residual
  void* delta_gradient = nullptr;       // the same in the type of delta; may be null
  float* weight_gradient = nullptr;     // [width], added to; may be null
};

struct AddNormKernels {
  void (*forward)(const NormParameters&, const NormForward&, std::int64_t first_row, std::int64_t last_row);
  void (*backward)(const NormParameters&, const NormBackward&, std::int64_t first_row, std::int64_t last_row);
};
const AddNormKernels& add_norm_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
