#pragma once

namespace omni::kernels {

// Which of the compiled variants of a CPU kernel runs. Every variant computes the same formula; sums are
// grouped alike, but fused multiply-add makes the last bits differ between `generic` and the others.
enum class InstructionSet { generic, avx2, avx512 };

InstructionSet instruction_set();

}  // namespace omni::kernels
