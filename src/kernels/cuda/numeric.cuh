#pragma once

#include <cstring>

#include "device.h"

namespace omni::cuda {

constexpr float kLog2E = 1.4426950408889634f;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000u); }

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ void assign(float& target, float x) { target = x; }
__device__ __forceinline__ void assign(__nv_bfloat16& target, float x) { target = __float2bfloat16_rn(x); }
__device__ __forceinline__ void assign(__half& target, float x) { target = __float2half_rn(x); }

// The two numbers of a register that holds bf16.
__device__ __forceinline__ float lower_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float upper_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// Two numbers rounded to T in one register, x in the low half.
template <class T>
__device__ __forceinline__ unsigned pack(float x, float y);
template <>
__device__ __forceinline__ unsigned pack<__nv_bfloat16>(float x, float y) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
  unsigned bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}
template <>
__device__ __forceinline__ unsigned pack<__half>(float x, float y) {
  const __half2 pair = __floats2half2_rn(x, y);
  unsigned bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

// The sum or the largest over groups of 2^kSteps neighbouring lanes, for each of them.
template <int kSteps>
__device__ __forceinline__ float group_sum(float x) {
#pragma unroll
  for (int i = 0; i < kSteps; ++i) x += __shfl_xor_sync(kAllLanes, x, 1 << i);
  return x;
}
template <int kSteps>
__device__ __forceinline__ float group_max(float x) {
#pragma unroll
  for (int i = 0; i < kSteps; ++i) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1 << i));
  return x;
}

}  // namespace omni::cuda
