#pragma once

#include <cstdint>

#include "hopper_matrix.h"
#include "packed_attention_interface.h"
#include "shim/bulk_copy.h"
#include "shim/half.h"
#include "shim/machine.h"
#include "shim/ptx.h"
#include "shim/warp_group.h"

// The functions of src/kernels/cuda/hopper_ptx.h and hopper_tensor_map.h for the host; the contracts stand there.
#define OMNI_HOPPER_DEVICE_CODE 1
#define __grid_constant__

namespace omni::cuda {

using shim::SharedBarrier;
using shim::TensorMap;

inline unsigned shared_window(const void* pointer) { return shim::shared_window(pointer); }
inline void publish_barriers() {}

inline void copy_box(unsigned target, const TensorMap& map, SharedBarrier& barrier, int column, int head,
                     int row, OMNI_SHIM_PTX_SITE) {
  shim::copy_box(target, map, barrier, column, head, row, site);
}

template <int kRegisters>
inline void allow_registers() {}
template <int kRegisters>
inline void leave_registers() {}

// A product reads its sums when it is waited for: whoever touches them earlier meets NaN. Whoever changes its left
// factor earlier, or starts it on registers that were not begun with, meets an error.
template <class... Registers>
inline void begin_products(Registers&... registers) {
  (shim::begin_products(&registers, sizeof registers), ...);
}
inline void commit_products() { shim::commit_products(); }
template <int kPendingGroups, class... Registers>
inline void wait_products(Registers&...) {
  shim::wait_products(kPendingGroups, {__builtin_FILE(), __builtin_LINE()});
}

template <int kTiles>
inline void multiply_columns(float (&sums)[kTiles][4], MatrixDescriptor a, MatrixDescriptor b, bool add) {
  shim::start_product({&sums[0][0], 8 * kTiles, nullptr, a.bits, b.bits, add});
}
template <int kTiles>
inline void multiply_rows_of(float (&sums)[kTiles][4], const unsigned (&a)[4], MatrixDescriptor b) {
  shim::start_product({&sums[0][0], 8 * kTiles, a, 0, b.bits, true});
}

inline int make_tensor_map(TensorMap& map, const OmniCudaHeads& tensor, std::int32_t rows, std::int32_t heads,
                           std::int32_t head_size, int box_rows) {
  map = {static_cast<const std::uint16_t*>(tensor.data),
         tensor.row_stride,
         tensor.head_stride,
         rows,
         heads,
         head_size,
         box_rows};
  return 0;
}
constexpr bool holds_hopper_code() { return true; }
inline bool is_hopper() { return true; }

}  // namespace omni::cuda
