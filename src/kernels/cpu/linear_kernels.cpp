#include "linear_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#define OMNI_SIMD_PART linear
#define OMNI_SIMD_SOURCE "linear_kernels.inc"
#define OMNI_SIMD_BF16
#include "simd_levels.inc"

namespace omni::kernels {

const LinearKernels* linear_kernels(InstructionSet level) {
#if defined(__x86_64__) && !defined(__clang__)
  if (level == InstructionSet::avx512_bf16) return &level_avx512_bf16::linear::kernels;
#endif
  (void)level;
  return nullptr;
}

}  // namespace omni::kernels
