#include "decode_attention_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#define OMNI_SIMD_PART decode_attention
#define OMNI_SIMD_SOURCE "decode_attention_kernels.inc"
#include "simd_levels.inc"

namespace omni::kernels {

DecodeAttentionKernels decode_attention_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::decode_attention::kernels;
  if (level == InstructionSet::avx2) return level_avx2::decode_attention::kernels;
#endif
  (void)level;
  return level_generic::decode_attention::kernels;
}

}  // namespace omni::kernels
