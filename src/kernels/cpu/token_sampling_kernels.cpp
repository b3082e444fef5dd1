#include "token_sampling_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#define OMNI_SIMD_PART token_rows
#define OMNI_SIMD_SOURCE "token_sampling_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const TokenRowKernels& token_row_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::token_rows::kernels;
  if (level == InstructionSet::avx2) return level_avx2::token_rows::kernels;
#endif
  (void)level;
  return level_generic::token_rows::kernels;
}

}  // namespace omni::kernels
