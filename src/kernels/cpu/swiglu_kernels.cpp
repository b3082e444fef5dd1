#include "swiglu_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#define OMNI_SIMD_PART swiglu
#define OMNI_SIMD_SOURCE "swiglu_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const SwigluKernels& swiglu_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::swiglu::kernels;
  if (level == InstructionSet::avx2) return level_avx2::swiglu::kernels;
#endif
  (void)level;
  return level_generic::swiglu::kernels;
}

}  // namespace omni::kernels
