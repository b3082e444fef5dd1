#pragma once

namespace omni::kernels {

// Which of the compiled variants of a CPU kernel runs. Every variant computes the same formula; sums are
// grouped alike, but fused multiply-add makes the last bits differ between `generic` and the others.
// avx512_bf16 (which stands for VNNI as well) multiplies pairs of bf16 directly and so rounds intermediate
// results (probabilities, score gradients) to bf16, which the others keep in fp32.
enum class InstructionSet { generic, avx2, avx512, avx512_bf16 };

InstructionSet instruction_set();       // the best of those for fp32 arithmetic
InstructionSet bf16_instruction_set();  // the best of all

}  // namespace omni::kernels
