#include "attention_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#define OMNI_SIMD_PART attention_rows
#define OMNI_SIMD_SOURCE "attention_rows.inc"
#include "simd_levels.inc"

namespace omni::kernels {

AttentionForwardKernel attention_forward_kernel(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::attention_rows::forward;
  if (level == InstructionSet::avx2) return level_avx2::attention_rows::forward;
#endif
  (void)level;
  return level_generic::attention_rows::forward;
}

AttentionBackwardKernel attention_backward_kernel(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::attention_rows::backward;
  if (level == InstructionSet::avx2) return level_avx2::attention_rows::backward;
#endif
  (void)level;
  return level_generic::attention_rows::backward;
}

}  // namespace omni::kernels
