#pragma once

#include "packed_attention_interface.h"
#include "shared_tile.cuh"

namespace omni::cuda {

// The rows of one head from `row` on, of `rows` in all.
template <class T>
__device__ __forceinline__ GlobalRows<T> global_rows(const OmniCudaHeads& heads, int head, int row, int rows,
                                                     int head_size) {
  return {static_cast<const T*>(heads.data) + head * heads.head_stride + row * heads.row_stride,
          heads.row_stride, rows - row, head_size};
}

}  // namespace omni::cuda
