#pragma once

#include "hopper_attention_interface.h"
#include "hopper_tensor_map.h"
#include "packed_attention_shapes.cuh"

// What the launchers of the attention kernels for Hopper share.
namespace omni::cuda {

// Maps of boxes of so many rows of tensors shaped as query and as key.
inline int query_map(TensorMap& map, const OmniCudaAttention& a, const OmniCudaHeads& tensor, int box_rows) {
  return make_tensor_map(map, tensor, a.query_rows, a.heads, a.head_size, box_rows);
}
inline int key_map(TensorMap& map, const OmniCudaAttention& a, const OmniCudaHeads& tensor, int box_rows) {
  return make_tensor_map(map, tensor, a.key_rows, a.key_value_heads, a.head_size, box_rows);
}

// Without rows or keys there is nothing to map: the general kernels write the zeros.
inline bool has_nothing_to_do(const OmniCudaAttention& a) { return a.query_rows == 0 || a.key_rows == 0; }

// Whether bulk copies take such strides, which must lead forward and below 2^40 bytes.
inline bool has_copied_strides(const OmniCudaHeads& tensor, std::int32_t rows, std::int32_t heads) {
  const auto fits = [](std::int32_t count, std::int64_t stride) {
    return count <= 1 || (stride > 0 && stride < std::int64_t{1} << 39);
  };
  return fits(rows, tensor.row_stride) && fits(heads, tensor.head_stride);
}

// Whether these kernels take all that is known of a call without its maps.
inline bool takes_hopper_call(const OmniCudaAttention& a) {
  return omni_cuda_attention_supports(&a) && a.type == kOmniCudaBfloat16 && a.head_size >= 64 &&
         a.head_size <= 128 && has_copied_strides(a.query, a.query_rows, a.heads) &&
         has_copied_strides(a.key, a.key_rows, a.key_value_heads) &&
         has_copied_strides(a.value, a.key_rows, a.key_value_heads) && is_hopper();
}

// Launch::run<head size>(arguments...) of the smaller kernel that holds the head size.
template <class Launch, class... Arguments>
int for_hopper_head(const OmniCudaAttention& a, const Arguments&... arguments) {
  if (a.head_size <= 64) return Launch::template run<64>(arguments...);
  return Launch::template run<128>(arguments...);
}

}  // namespace omni::cuda
