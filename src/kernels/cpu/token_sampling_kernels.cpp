#include "token_sampling_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#define OMNI_SIMD_PART token_sampling
#define OMNI_SIMD_SOURCE "token_sampling_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const TokenSamplingKernels& token_sampling_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::token_sampling::kernels;
  if (level == InstructionSet::avx2) return level_avx2::token_sampling::kernels;
#endif
  (void)level;
  return level_generic::token_sampling::kernels;
}

}  // namespace omni::kernels
