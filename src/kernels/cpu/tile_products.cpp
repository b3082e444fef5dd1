#include "tile_products.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "aligned_floats.h"
#include "omni/core/system_info.h"
#include "omni/kernels/matrix_tiles.h"

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define OMNI_SIMD_PART tile_products
#define OMNI_SIMD_SOURCE "tile_products.inc"
#define OMNI_SIMD_BF16
#include "simd_levels.inc"

namespace omni::kernels {
namespace {

// The system keeps eight kilobytes more of a thread that has used tiles, and wants to be asked first.
bool ask_for_tiles() {
#if defined(__linux__) && defined(__x86_64__) && !defined(__clang__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  const CpuFeatures features = detect_cpu_features();
  return features.amx_bf16 && features.amx_int8 && bf16_instruction_set() == InstructionSet::avx512_bf16 &&
         ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool has_matrix_tiles() {
  static const bool have = ask_for_tiles();
  return have;
}

TileProductKernels tile_product_kernels(bool on_tiles) {
#if defined(__x86_64__)
  if (on_tiles)
    return {level_avx512_bf16::tile_products::lay,
            level_avx512_bf16::tile_products::multiply<level_avx512_bf16::tile_products::ProcessorTiles>};
#endif
  (void)on_tiles;
  return {level_generic::tile_products::lay,
          level_generic::tile_products::multiply<level_generic::tile_products::SpeltOutTiles>};
}

}  // namespace omni::kernels
