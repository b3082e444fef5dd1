#pragma once

#include <cmath>
#include <cstdint>

#include "decode_product_interface.h"
#include "numeric.cuh"

// A warp makes a few outputs of all rows: its lanes read 16 bytes of each weight row side by side, once, and
// add up in an order that depends on nothing but the lane.
namespace omni::cuda {

constexpr int kProductWarps = 4;
constexpr int kProductOutputs = 2;  // of a warp at a time: the rows are loaded once for both
constexpr int kFixedThreads = 256;
constexpr int kFixedSharedBytes = kFixedThreads / kWarp * static_cast<int>(sizeof(float));

// The output with number `n` among those that are wanted; -1 beyond the last.
__device__ inline std::int64_t wanted_output(const OmniCudaDecodeProduct& a, std::int64_t n) {
  if (!a.runs) return n < a.matrix.outputs ? n : -1;
  for (int run = 0; run < kOmniCudaMostRuns; ++run) {
    const int first = a.runs[2 * run], size = a.runs[2 * run + 1];
    if (n < size) return first + n;
    n -= size;
  }
  return -1;
}

__device__ __forceinline__ float add_pair(unsigned weight, unsigned x, float total) {
  total = fmaf(lower_bf16(weight), lower_bf16(x), total);
  return fmaf(upper_bf16(weight), upper_bf16(x), total);
}
__device__ __forceinline__ float add_products(const uint4& weight, const uint4& x, float total) {
  return add_pair(weight.w, x.w,
                  add_pair(weight.z, x.z, add_pair(weight.y, x.y, add_pair(weight.x, x.x, total))));
}
__device__ __forceinline__ int add_bytes(const uint4& weight, const uint4& x, int total) {
  total = __dp4a(static_cast<int>(weight.x), static_cast<int>(x.x), total);
  total = __dp4a(static_cast<int>(weight.y), static_cast<int>(x.y), total);
  total = __dp4a(static_cast<int>(weight.z), static_cast<int>(x.z), total);
  return __dp4a(static_cast<int>(weight.w), static_cast<int>(x.w), total);
}

__device__ __forceinline__ const uint4* sixteen_bytes(const void* memory, std::int64_t bytes) {
  return reinterpret_cast<const uint4*>(static_cast<const char*>(memory) + bytes);
}

template <class Y>
__device__ inline void put_output(const OmniCudaDecodeProduct& a, int row, std::int64_t output, float value) {
  if (a.matrix.bias) value += a.matrix.bias[output];
  assign(static_cast<Y*>(a.y)[row * a.matrix.outputs + output], value);
}

// kRows: a.rows rounded up; what is beyond reads the last row and is not written.
template <int kRows, class Y>
__device__ void multiply_bf16(const OmniCudaDecodeProduct& a,
                              const std::int64_t (&outputs)[kProductOutputs]) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t row_bytes = 2 * a.matrix.inputs;
  const void* rows[kProductOutputs];
  for (int o = 0; o < kProductOutputs; ++o)
    rows[o] = sixteen_bytes(a.matrix.weight, (outputs[o] < 0 ? outputs[0] : outputs[o]) * row_bytes);
  float totals[kProductOutputs][kRows] = {};
  for (std::int64_t at = 16 * lane; at < row_bytes; at += 16 * kWarp) {
    uint4 weights[kProductOutputs];
#pragma unroll
    for (int o = 0; o < kProductOutputs; ++o) weights[o] = __ldg(sixteen_bytes(rows[o], at));
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const uint4 x = *sixteen_bytes(a.x, (r < a.rows ? r : a.rows - 1) * row_bytes + at);
#pragma unroll
      for (int o = 0; o < kProductOutputs; ++o) totals[o][r] = add_products(weights[o], x, totals[o][r]);
    }
  }
#pragma unroll
  for (int o = 0; o < kProductOutputs; ++o)
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float total = group_sum<5>(totals[o][r]);
      if (lane == 0 && r < a.rows && outputs[o] >= 0) put_output<Y>(a, r, outputs[o], total);
    }
}

template <int kRows, class Y>
__device__ void multiply_int8(const OmniCudaDecodeProduct& a,
                              const std::int64_t (&outputs)[kProductOutputs]) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t row_bytes = a.matrix.inputs;
  const void* rows[kProductOutputs];
  for (int o = 0; o < kProductOutputs; ++o)
    rows[o] = sixteen_bytes(a.matrix.weight, (outputs[o] < 0 ? outputs[0] : outputs[o]) * row_bytes);
  int upper[kProductOutputs][kRows] = {}, lower[kProductOutputs][kRows] = {};
  for (std::int64_t at = 16 * lane; at < row_bytes; at += 16 * kWarp) {
    uint4 weights[kProductOutputs];
#pragma unroll
    for (int o = 0; o < kProductOutputs; ++o) weights[o] = __ldg(sixteen_bytes(rows[o], at));
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t place = (r < a.rows ? r : a.rows - 1) * row_bytes + at;
      const uint4 high = *sixteen_bytes(a.fixed.upper, place), low = *sixteen_bytes(a.fixed.lower, place);
#pragma unroll
      for (int o = 0; o < kProductOutputs; ++o) {
        upper[o][r] = add_bytes(weights[o], high, upper[o][r]);
        lower[o][r] = add_bytes(weights[o], low, lower[o][r]);
      }
    }
  }
#pragma unroll
  for (int o = 0; o < kProductOutputs; ++o)
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int high = __reduce_add_sync(kAllLanes, upper[o][r]),
                low = __reduce_add_sync(kAllLanes, lower[o][r]);
      if (lane != 0 || r >= a.rows || outputs[o] < 0) continue;
      // In doubles, which hold the sums exactly, as on the processor.
      const double total = 256.0 * high + low + 128.0 * a.matrix.sums[outputs[o]];
      const double scale = static_cast<double>(a.fixed.scales[r]) * a.matrix.scales[outputs[o]];
      put_output<Y>(a, r, outputs[o], static_cast<float>(total * scale));
    }
}

template <int kRows, class Y, bool kBytes>
__global__ void __launch_bounds__(kProductWarps* kWarp) decode_product(const OmniCudaDecodeProduct a) {
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kProductWarps + threadIdx.x / kWarp;
  std::int64_t outputs[kProductOutputs];
  for (int o = 0; o < kProductOutputs; ++o) outputs[o] = wanted_output(a, warp * kProductOutputs + o);
  if (outputs[0] < 0) return;
  if constexpr (kBytes)
    multiply_int8<kRows, Y>(a, outputs);
  else
    multiply_bf16<kRows, Y>(a, outputs);
}

// One block per row.
__global__ void __launch_bounds__(kFixedThreads) decode_fixed_rows(const OmniCudaDecodeFixedRows a) {
  OMNI_SHARED(float, shared);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * a.width;
  const __nv_bfloat16* x = static_cast<const __nv_bfloat16*>(a.x) + first;
  float largest = 0;
  bool broken = false;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kFixedThreads) {
    const float size = fabsf(to_float(x[d]));
    largest = fmaxf(largest, size);
    broken = broken || !(size < INFINITY);
  }
  largest = group_max<5>(largest);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = largest;
  broken = __syncthreads_or(broken) != 0;
  for (int warp = 0; warp < kFixedThreads / kWarp; ++warp) largest = fmaxf(largest, shared[warp]);
  constexpr float kSmallest = 1.17549435e-38f;  // normal number
  const float scale = largest / 32767.0f;
  const bool none = broken || scale < kSmallest;
  const float inverse = none ? 0.0f : 1.0f / scale;
  for (std::int64_t d = threadIdx.x; d < a.width; d += kFixedThreads) {
    const float rounded = none ? 0.0f : rintf(to_float(x[d]) * inverse);
    const int q = static_cast<int>(fminf(fmaxf(rounded, -32767.0f), 32767.0f));
    a.upper[first + d] = static_cast<signed char>(q >> 8);
    a.lower[first + d] = static_cast<signed char>((q & 255) - 128);
  }
  if (threadIdx.x == 0) a.scales[blockIdx.x] = broken ? NAN : none ? 0.0f : scale;
}

}  // namespace omni::cuda
