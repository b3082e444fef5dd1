#pragma once

#include <cstdint>

#include "numeric.cuh"
#include "pointer_alignment.h"

namespace omni::cuda {

// Elements that a thread moves at a time where rows allow it: 16 bytes.
template <class T>
constexpr int kVector = static_cast<int>(16 / sizeof(T));

// `address` aligned to 16 bytes; values in fp32.
__device__ __forceinline__ void load_vector(const float* address, float (&values)[4]) {
  const float4 v = *reinterpret_cast<const float4*>(address);
  values[0] = v.x, values[1] = v.y, values[2] = v.z, values[3] = v.w;
}
__device__ __forceinline__ void load_vector(const __nv_bfloat16* address, float (&values)[8]) {
  const uint4 bits = *reinterpret_cast<const uint4*>(address);
  const unsigned pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = lower_bf16(pairs[i]);
    values[2 * i + 1] = upper_bf16(pairs[i]);
  }
}
__device__ __forceinline__ void store_vector(float* address, const float (&values)[4]) {
  *reinterpret_cast<float4*>(address) = make_float4(values[0], values[1], values[2], values[3]);
}
__device__ __forceinline__ void store_vector(__nv_bfloat16* address, const float (&values)[8]) {
  using B = __nv_bfloat16;
  *reinterpret_cast<uint4*>(address) =
      make_uint4(pack<B>(values[0], values[1]), pack<B>(values[2], values[3]), pack<B>(values[4], values[5]),
                 pack<B>(values[6], values[7]));
}

// One element at a time, for rows that are not aligned.
template <class T>
__device__ __forceinline__ void load_vector(const T* address, float (&values)[1]) {
  values[0] = to_float(*address);
}
template <class T>
__device__ __forceinline__ void store_vector(T* address, const float (&values)[1]) {
  assign(*address, values[0]);
}

// Whether vectors of T cover rows of that many elements that start at each of the addresses; null ones do not count.
template <class T, class... Addresses>
bool vectors_cover(std::int64_t elements, const Addresses*... addresses) {
  return elements % kVector<T> == 0 && (is_aligned(addresses) && ...);
}

// Threads number their pieces of work with 32 bits.
constexpr std::int64_t kMaximumPieces = (std::int64_t{1} << 31) - 1;

}  // namespace omni::cuda
