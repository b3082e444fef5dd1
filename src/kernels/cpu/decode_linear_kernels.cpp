#include "decode_linear_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "aligned_floats.h"

#define OMNI_SIMD_PART decode_linear
#define OMNI_SIMD_SOURCE "decode_linear_kernels.inc"
#define OMNI_SIMD_BF16
#include "simd_levels.inc"

namespace omni::kernels {

DecodeLinearKernels decode_linear_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512_bf16)
    return {level_avx512_bf16::decode_linear::prepare, level_avx512_bf16::decode_linear::multiply,
            level_avx512_bf16::decode_linear::expand};
  if (level == InstructionSet::avx512)
    return {level_avx512::decode_linear::prepare, level_avx512::decode_linear::multiply,
            level_avx512::decode_linear::expand};
  if (level == InstructionSet::avx2)
    return {level_avx2::decode_linear::prepare, level_avx2::decode_linear::multiply,
            level_avx2::decode_linear::expand};
#endif
  (void)level;
  return {level_generic::decode_linear::prepare, level_generic::decode_linear::multiply,
          level_generic::decode_linear::expand};
}

}  // namespace omni::kernels
