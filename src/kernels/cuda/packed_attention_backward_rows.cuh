#pragma once

#include "packed_attention_backward_tile.cuh"

// The parts of the backward pass that go row by row.
namespace omni::cuda {

constexpr int kRowThreads = 256;
constexpr int kDeltaLanes = 8;  // threads per row of a head

template <class T>
struct alignas(16) EightNumbers {
  T values[8];
};

template <class T>
__device__ __forceinline__ EightNumbers<T> load_eight(const T* from) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  EightNumbers<T> numbers;
  memcpy(numbers.values, &bits, sizeof bits);
  return numbers;
}

// Fills the numbers of each row and head.
template <class T>
__global__ void __launch_bounds__(kRowThreads) attention_row_numbers(OmniCudaAttentionBackward b) {
  const OmniCudaAttention& a = b.forward;
  const std::int64_t number =
      static_cast<std::int64_t>(blockIdx.x) * (kRowThreads / kDeltaLanes) + threadIdx.x / kDeltaLanes;
  const int part = static_cast<int>(threadIdx.x) % kDeltaLanes;
  const bool valid = number < static_cast<std::int64_t>(a.query_rows) * a.heads;
  const std::int64_t row = number / a.heads, head = number % a.heads;
  float sum = 0;
  if (valid) {
    const T* output =
        static_cast<const T*>(a.output.data) + row * a.output.row_stride + head * a.output.head_stride;
    const T* gradient = static_cast<const T*>(b.output_gradient.data) + row * b.output_gradient.row_stride +
                        head * b.output_gradient.head_stride;
    for (int column = part * 8; column < a.head_size; column += kDeltaLanes * 8) {
      const EightNumbers<T> x = load_eight(output + column), y = load_eight(gradient + column);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += to_float(x.values[i]) * to_float(y.values[i]);
    }
  }
  sum = group_sum<3>(sum);
  if (valid && part == 0)
    query_numbers(b, static_cast<int>(head))[row] = {a.log_sum[head * a.query_rows + row] * kLog2E, sum};
}

// query_gradient = scale query_sums, eight numbers per thread.
template <class T>
__global__ void __launch_bounds__(kRowThreads) attention_round_query_sums(OmniCudaAttentionBackward b) {
  const OmniCudaAttention& a = b.forward;
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kRowThreads + threadIdx.x;
  const int pieces = a.head_size / 8;
  if (number >= static_cast<std::int64_t>(a.query_rows) * a.heads * pieces) return;
  const float4* from = reinterpret_cast<const float4*>(b.query_sums + number * 8);
  const float4 low = from[0], high = from[1];
  const std::int64_t column = number % pieces * 8, head = number / pieces % a.heads,
                     row = number / pieces / a.heads;
  const uint4 bits =
      make_uint4(pack<T>(low.x * a.scale, low.y * a.scale), pack<T>(low.z * a.scale, low.w * a.scale),
                 pack<T>(high.x * a.scale, high.y * a.scale), pack<T>(high.z * a.scale, high.w * a.scale));
  T* to = static_cast<T*>(b.query_gradient.data) + row * b.query_gradient.row_stride +
          head * b.query_gradient.head_stride + column;
  *reinterpret_cast<uint4*>(to) = bits;
}

}  // namespace omni::cuda
