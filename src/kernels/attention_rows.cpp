#include "attention_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

// The same source is compiled once per instruction set, each in a namespace of its own; no build flag may
// raise the level of the whole file, since the program must start on older processors.
// clang-format off
#define OMNI_SIMD_LEVEL 0
namespace omni::kernels::level_generic {
#include "simd_vector.inc"
#include "attention_rows.inc"
}
#undef OMNI_SIMD_LEVEL

#if defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define OMNI_SIMD_LEVEL 1
namespace omni::kernels::level_avx2 {
#include "simd_vector.inc"
#include "attention_rows.inc"
}
#undef OMNI_SIMD_LEVEL
#pragma GCC pop_options

// GCC 12 takes the undefined pass-through operands of its own intrinsics for uninitialised variables (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")
#define OMNI_SIMD_LEVEL 2
namespace omni::kernels::level_avx512 {
#include "simd_vector.inc"
#include "attention_rows.inc"
}
#undef OMNI_SIMD_LEVEL
#pragma GCC pop_options
#pragma GCC diagnostic pop
#endif
// clang-format on

namespace omni::kernels {

AttentionForwardKernel attention_forward_kernel(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::forward;
  if (level == InstructionSet::avx2) return level_avx2::forward;
#endif
  (void)level;
  return level_generic::forward;
}

AttentionBackwardKernel attention_backward_kernel(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return level_avx512::backward;
  if (level == InstructionSet::avx2) return level_avx2::backward;
#endif
  (void)level;
  return level_generic::backward;
}

CachedAttentionKernels cached_attention_kernels(InstructionSet level) {
#if defined(__x86_64__)
  if (level == InstructionSet::avx512) return {level_avx512::store_new, level_avx512::attend};
  if (level == InstructionSet::avx2) return {level_avx2::store_new, level_avx2::attend};
#endif
  (void)level;
  return {level_generic::store_new, level_generic::attend};
}

}  // namespace omni::kernels
