#pragma once

#include <cstdint>

#include "instruction_set.h"

namespace omni::kernels {

// Raw row-wise kernels of the CPU; the tensor operations in fused_rows.h call them over fixed chunks of rows.
// `Half` pointers are bf16 as 16 bits where `bf16` is set, else fp32. All widths may be any number.

struct NormRows {
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

struct CrossEntropyRows {
  bool bf16 = false;       // of the logits
  std::int64_t width = 0;  // classes
  void* logits = nullptr;  // [rows, width]; replaced by the gradient of weight * (loss + z_loss * log_sum^2)
  const std::int32_t* targets = nullptr;
  const float* weights = nullptr;
  float z_loss = 0;
  float* losses = nullptr;  // cross-entropy, unweighted
  float* log_sums = nullptr;
  std::uint8_t* correct =
      nullptr;  // whether no logit is above the target's, ties counting for the lower index
};

struct RowKernels {
  void (*norm_forward)(const NormRows&, const NormForward&, std::int64_t first_row, std::int64_t last_row);
  void (*norm_backward)(const NormRows&, const NormBackward&, std::int64_t first_row, std::int64_t last_row);
  // gate_up [rows, 2 * width] holds gate then up; output [rows, width] = silu(gate) * up.
  void (*swiglu_forward)(bool bf16, const void* gate_up, void* output, std::int64_t width,
                         std::int64_t first_row, std::int64_t last_row);
  void (*swiglu_backward)(bool bf16, const void* gate_up, const void* gradient, void* gate_up_gradient,
                          std::int64_t width, std::int64_t first_row, std::int64_t last_row);
  void (*cross_entropy)(const CrossEntropyRows&, std::int64_t first_row, std::int64_t last_row);
};
const RowKernels& row_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
