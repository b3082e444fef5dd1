#pragma once

#include <bit>
#include <cstdint>

#include "shim/types.h"

// cuda_bf16.h and cuda_fp16.h, as far as the kernels use them: storage types, and conversions that round to
// the nearest, ties to even.
namespace omni::shim {

inline std::uint16_t bfloat16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline float bfloat16_value(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t half_bits(float value);
float half_value(std::uint16_t bits);

}  // namespace omni::shim

struct __nv_bfloat16 {
  std::uint16_t bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float value) : bits(omni::shim::bfloat16_bits(value)) {}
  operator float() const { return omni::shim::bfloat16_value(bits); }
};
struct __half {
  std::uint16_t bits;
  __half() = default;
  __half(float value) : bits(omni::shim::half_bits(value)) {}
  operator float() const { return omni::shim::half_value(bits); }
};
using half = __half;

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
  __nv_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) : x(a), y(b) {}
  OMNI_SHIM_COPY_FUNCTIONS(__nv_bfloat162)
 private:
  void assign(const __nv_bfloat162& o) { x = o.x, y = o.y; }
};
struct alignas(4) __half2 {
  __half x, y;
  __half2(__half a, __half b) : x(a), y(b) {}
  OMNI_SHIM_COPY_FUNCTIONS(__half2)
 private:
  void assign(const __half2& o) { x = o.x, y = o.y; }
};

inline float __bfloat162float(__nv_bfloat16 value) { return value; }
inline __nv_bfloat16 __float2bfloat16(float value) { return value; }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return value; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 value) { return {value.x, value.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 value) { return {value.x, value.y}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
  __nv_bfloat16 value;
  value.bits = bits;
  return value;
}

inline float __half2float(__half value) { return value; }
inline __half __float2half(float value) { return value; }
inline __half __float2half_rn(float value) { return value; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 value) { return {value.x, value.y}; }
inline float2 __half22float2(__half2 value) { return {value.x, value.y}; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline __half __ushort_as_half(unsigned short bits) {
  __half value;
  value.bits = bits;
  return value;
}
