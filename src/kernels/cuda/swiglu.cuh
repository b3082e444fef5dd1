#pragma once

#include "swiglu_interface.h"
#include "vector_rows.cuh"

namespace omni::cuda {

constexpr int kSwigluThreads = 256;

// 1 / (1 + e^-x); 0 and 1 at the ends, where the power is infinite or nothing.
__device__ __forceinline__ float logistic(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

// A thread takes kCount neighbouring elements of one row.
struct SwigluPiece {
  std::int64_t row, column;
};
__device__ __forceinline__ SwigluPiece swiglu_piece(const OmniCudaSwiglu& a, int count) {
  const unsigned across = static_cast<unsigned>(a.width) / static_cast<unsigned>(count);
  const unsigned piece = blockIdx.x * kSwigluThreads + threadIdx.x, row = piece / across;
  return {row, static_cast<std::int64_t>(piece - row * across) * count};
}

template <class T, int kCount>
__global__ void __launch_bounds__(kSwigluThreads) swiglu_forward(OmniCudaSwiglu a) {
  const SwigluPiece piece = swiglu_piece(a, kCount);
  if (piece.row >= a.rows) return;
  const std::int64_t row = piece.row, column = piece.column;
  const T* source = static_cast<const T*>(a.gate_up) + 2 * row * a.width + column;
  float gate[kCount], up[kCount];
  load_vector(source, gate);
  load_vector(source + a.width, up);
#pragma unroll
  for (int k = 0; k < kCount; ++k) up[k] *= gate[k] * logistic(gate[k]);
  store_vector(static_cast<T*>(a.output) + row * a.width + column, up);
}

// With s = logistic(gate), of the incoming gradient g: up gets g gate s, gate gets g up s (1 + gate (1 - s)).
template <class T, int kCount>
__global__ void __launch_bounds__(kSwigluThreads) swiglu_backward(OmniCudaSwiglu a) {
  const SwigluPiece piece = swiglu_piece(a, kCount);
  if (piece.row >= a.rows) return;
  const std::int64_t row = piece.row, column = piece.column;
  const T* source = static_cast<const T*>(a.gate_up) + 2 * row * a.width + column;
  T* target = static_cast<T*>(a.output) + 2 * row * a.width + column;
  float gate[kCount], up[kCount], incoming[kCount];
  load_vector(source, gate);
  load_vector(source + a.width, up);
  load_vector(static_cast<const T*>(a.output_gradient) + row * a.width + column, incoming);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float s = logistic(gate[k]), silu = gate[k] * s;
    const float of_up = incoming[k] * silu;
    gate[k] = incoming[k] * up[k] * s * (1.0f + gate[k] * (1.0f - s));
    up[k] = of_up;
  }
  store_vector(target, gate);
  store_vector(target + a.width, up);
}

}  // namespace omni::cuda
