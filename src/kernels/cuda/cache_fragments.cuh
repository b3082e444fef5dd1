#pragma once

#include <cmath>

#include "numeric.cuh"
#include "ptx.h"

// Keys and values of a cache as operands of tensor-core products, from rows in shared memory. T is the type
// of the products, E how the cache keeps its elements.
namespace omni::cuda {

struct Int8 {
  signed char bits;
};
struct Fp8 {  // e4m3: sign, 4 bits of exponent, 3 of fraction; no infinity
  unsigned char bits;
};

__device__ inline float value_of(Int8 x) { return static_cast<float>(x.bits); }
// The bits, moved into place in an fp16 number, are the value over 2^8, subnormal numbers included.
__device__ inline float value_of(Fp8 x) {
  const unsigned magnitude = x.bits & 0x7fu;
  if (magnitude == 0x7fu) return NAN;
  return __half2float(__ushort_as_half(static_cast<unsigned short>((x.bits & 0x80u) << 8 | magnitude << 7))) *
         256.0f;
}

template <class E>
constexpr bool kIsByte = sizeof(E) == 1;

// Operands of S = Q K^T: keys [16] x dimensions [16] from `rows` on; b[n] belongs to keys 8 n to 8 n + 7.
template <class T, class E>
__device__ inline void load_keys(unsigned (&b)[2][2], const E* rows, int pitch) {
  const int lane = threadIdx.x % kWarp;
  if constexpr (kIsByte<E>) {
    for (int n = 0; n < 2; ++n)
      for (int half = 0; half < 2; ++half) {
        const E* pair = rows + (8 * n + lane / 4) * pitch + 8 * half + 2 * (lane % 4);
        b[n][half] = pack<T>(value_of(pair[0]), value_of(pair[1]));
      }
  } else {
    unsigned r[4];
    load_matrix_x4(r, rows + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8);
    b[0][0] = r[0];
    b[0][1] = r[1];
    b[1][0] = r[2];
    b[1][1] = r[3];
  }
}

// Operands of O += P V: keys [16] x dimensions [16]; b[n] belongs to dimensions 8 n to 8 n + 7.
template <class T, class E>
__device__ inline void load_values(unsigned (&b)[2][2], const E* rows, int pitch) {
  const int lane = threadIdx.x % kWarp;
  if constexpr (kIsByte<E>) {
    for (int n = 0; n < 2; ++n)
      for (int half = 0; half < 2; ++half) {
        const E* upper = rows + (8 * half + 2 * (lane % 4)) * pitch + 8 * n + lane / 4;
        b[n][half] = pack<T>(value_of(upper[0]), value_of(upper[pitch]));
      }
  } else {
    unsigned r[4];
    load_matrix_x4_transposed(r, rows + (lane / 8 % 2 * 8 + lane % 8) * pitch + lane / 16 * 8);
    b[0][0] = r[0];
    b[0][1] = r[1];
    b[1][0] = r[2];
    b[1][1] = r[3];
  }
}

}  // namespace omni::cuda
