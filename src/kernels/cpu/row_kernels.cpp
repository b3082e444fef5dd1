#include "row_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#define OMNI_SIMD_PART row_kernels
#define OMNI_SIMD_SOURCE "row_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

const RowKernels& row_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::row_kernels::kernels;
  if (level == InstructionSet::avx2) return level_avx2::row_kernels::kernels;
#endif
  (void)level;
  return level_generic::row_kernels::kernels;
}

}  // namespace omni::kernels
