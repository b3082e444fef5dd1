#include "linear_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "instruction_set.h"
#include "omni/kernels/matrix_tiles.h"

#define OMNI_SIMD_PART linear
#define OMNI_SIMD_SOURCE "linear_kernels.inc"
#define OMNI_SIMD_BF16
#include "simd_levels.inc"

namespace omni::kernels {

const LinearKernels* linear_kernels() {
#if defined(__x86_64__) && !defined(__clang__)
  static const bool are_best = bf16_instruction_set() == InstructionSet::avx512_bf16 && !has_matrix_tiles();
  if (are_best) return &level_avx512_bf16::linear::kernels;
#endif
  return nullptr;
}

}  // namespace omni::kernels
