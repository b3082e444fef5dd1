#pragma once

#include <cstdint>

#include "instruction_set.h"

namespace omni::kernels {

// The CPU kernels of swiglu(). Elements are fp32, or bf16 as 16 bits. The width may be any number.
struct SwigluKernels {
  // gate_up [rows, 2 * width] holds gate then up; output [rows, width] = silu(gate) * up.
  void (*forward)(bool bf16, const void* gate_up, void* output, std::int64_t width, std::int64_t first_row,
                  std::int64_t last_row);
  void (*backward)(bool bf16, const void* gate_up, const void* gradient, void* gate_up_gradient,
                   std::int64_t width, std::int64_t first_row, std::int64_t last_row);
};
const SwigluKernels& swiglu_kernels(InstructionSet level = instruction_set());

}  // namespace omni::kernels
