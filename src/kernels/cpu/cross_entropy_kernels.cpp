#include "cross_entropy_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#define OMNI_SIMD_PART cross_entropy
#define OMNI_SIMD_SOURCE "cross_entropy_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const CrossEntropyKernels& cross_entropy_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::cross_entropy::kernels;
  if (level == InstructionSet::avx2) return level_avx2::cross_entropy::kernels;
#endif
  (void)level;
  return level_generic::cross_entropy::kernels;
}

}  // namespace omni::kernels
