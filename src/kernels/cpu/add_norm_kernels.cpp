#include "add_norm_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#define OMNI_SIMD_PART add_norm
#define OMNI_SIMD_SOURCE "add_norm_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const AddNormKernels& add_norm_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::add_norm::kernels;
  if (level == InstructionSet::avx2) return level_avx2::add_norm::kernels;
#endif
  (void)level;
  return level_generic::add_norm::kernels;
}

}  // namespace omni::kernels
