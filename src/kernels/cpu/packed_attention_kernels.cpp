#include "packed_attention_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numbers>
#include <type_traits>

#define OMNI_SIMD_PART packed_attention
#define OMNI_SIMD_SOURCE "packed_attention_kernels.inc"
#define OMNI_SIMD_BF16
#include "simd_levels.inc"

namespace omni::kernels {

AttentionKernels attention_kernels(bool bf16, InstructionSet level) {
#if defined(__x86_64__)
  if (bf16 && level == InstructionSet::avx512_bf16) return level_avx512_bf16::packed_attention::bf16_kernels;
  if (level >= InstructionSet::avx512)
    return bf16 ? level_avx512::packed_attention::bf16_kernels : level_avx512::packed_attention::fp32_kernels;
  if (level == InstructionSet::avx2)
    return bf16 ? level_avx2::packed_attention::bf16_kernels : level_avx2::packed_attention::fp32_kernels;
#endif
  (void)level;
  return bf16 ? level_generic::packed_attention::bf16_kernels : level_generic::packed_attention::fp32_kernels;
}

}  // namespace omni::kernels
