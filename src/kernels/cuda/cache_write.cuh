#pragma once

#include <cmath>
#include <cstdint>

#include "cache_fragments.cuh"
#include "cache_write_interface.h"

namespace omni::cuda {

constexpr int kWriteWarps = 4;

__device__ inline Int8 encode(float x, Int8) {
  Int8 result;
  result.bits = static_cast<signed char>(rintf(x));
  return result;
}

// To the nearest e4m3 number, ties to even; |x| <= 448.
__device__ inline Fp8 encode(float x, Fp8) {
  constexpr float kMinimumNormal = 0.015625f, kSubnormalsPerUnit = 512.0f;
  Fp8 result;
  const unsigned bits = __float_as_uint(x), sign = bits >> 24 & 0x80u, magnitude = bits & 0x7fffffffu;
  unsigned code;
  if (__uint_as_float(magnitude) < kMinimumNormal) {
    code = static_cast<unsigned>(rintf(__uint_as_float(magnitude) * kSubnormalsPerUnit));
  } else {
    const unsigned rounded = (magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20;
    code = rounded - ((127 - 7) << 3);
    code = code < 0x7eu ? code : 0x7eu;
  }
  result.bits = static_cast<unsigned char>(sign | code);
  return result;
}

template <class E>
__device__ float largest_code();
template <>
__device__ inline float largest_code<Int8>() {
  return 127.0f;
}
template <>
__device__ inline float largest_code<Fp8>() {
  return 448.0f;
}

// A warp writes one head as bytes and the scale that makes its largest magnitude the largest code.
template <class T, class E>
__device__ void write_bytes(const T* source, int head_size, E* target, float* scale) {
  const int lane = threadIdx.x % kWarp;
  float largest = 0;
  bool broken = false;
  for (int d = lane; d < head_size; d += kWarp) {
    const float x = to_float(source[d]);
    largest = fmaxf(largest, fabsf(x));
    broken = broken || !(fabsf(x) < INFINITY);
  }
  largest = group_max<5>(largest);
  // A number that has no code makes the whole head NaN, so that it is not hidden.
  broken = __any_sync(kAllLanes, broken);
  const float inverse = largest > 0 && !broken ? largest_code<E>() / largest : 0.0f;
  for (int d = lane; d < head_size; d += kWarp)
    target[d] = encode(broken ? 0.0f : to_float(source[d]) * inverse, E{});
  if (lane == 0) *scale = broken ? NAN : largest / largest_code<E>();
}

// One warp writes one head of one row, its key or its value.
template <class T, class E>
__global__ void __launch_bounds__(kWriteWarps* kWarp) write_cache(const OmniCudaCacheWrite a) {
  const std::int64_t task = static_cast<std::int64_t>(blockIdx.x) * kWriteWarps + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (task >= std::int64_t{2} * a.row_count * a.key_value_heads) return;
  const bool is_value = task % 2 != 0;
  const int head = static_cast<int>(task / 2 % a.key_value_heads),
            row = static_cast<int>(task / 2 / a.key_value_heads);
  const OmniCudaDecodeRow place = a.rows[row];
  const T* source = static_cast<const T*>(is_value ? a.new_values : a.new_keys) + row * a.row_stride +
                    static_cast<std::int64_t>(head) * a.head_size;
  const std::int64_t token =
      (static_cast<std::int64_t>(place.sequence) * a.key_value_heads + head) * a.room + place.position;
  E* target = static_cast<E*>(is_value ? a.values : a.keys) + token * a.head_size;
  if constexpr (!kIsByte<E>) {
    for (int d = lane; d < a.head_size; d += kWarp) target[d] = source[d];
  } else {
    write_bytes(source, a.head_size, target, (is_value ? a.value_scales : a.key_scales) + token);
  }
}

}  // namespace omni::cuda
