#pragma once

#include "cache_write.cuh"
#include "decode_heads_interface.h"

namespace omni::cuda {

constexpr int kHeadWarps = 4;

// The share of a warp in one head of one row; `head` [head_size] fp32 is in shared memory.
class DecodeHead {
 public:
  __device__ DecodeHead(const OmniCudaDecodeHeads& arguments, float* head)
      : a_(arguments), head_(head), lane_(threadIdx.x % kWarp) {}

  __device__ void load(const __nv_bfloat16* source) const {
    for (int d = lane_; d < a_.head_size; d += kWarp) head_[d] = to_float(source[d]);
    __syncwarp();
  }

  __device__ void norm(const float* weight) const {
    if (!weight) return;
    float squares = 0;
    for (int d = lane_; d < a_.head_size; d += kWarp) squares += head_[d] * head_[d];
    const float factor = rsqrtf(group_sum<5>(squares) / static_cast<float>(a_.head_size) + a_.norm_epsilon);
    for (int d = lane_; d < a_.head_size; d += kWarp) head_[d] = head_[d] * factor * weight[d];
    __syncwarp();
  }

  __device__ void rotate(int row) const {
    const int half = a_.head_size / 2;
    const std::int64_t angles = static_cast<std::int64_t>(row) * half;
    for (int i = lane_; i < half; i += kWarp) {
      float& x = head_[a_.interleaved ? 2 * i : i];
      float& y = head_[a_.interleaved ? 2 * i + 1 : i + half];
      const float c = a_.cosine[angles + i], s = a_.sine[angles + i], before = x;
      x = before * c - y * s;
      y = before * s + y * c;
    }
    __syncwarp();
  }

  __device__ void store(__nv_bfloat16* target) const {
    for (int d = lane_; d < a_.head_size; d += kWarp) assign(target[d], head_[d]);
  }

  // Rounded to bf16 first, as if it had been written between two launches.
  template <class E>
  __device__ void write(E* target, float* scale) const {
    if constexpr (!kIsByte<E>) {
      store(target);
    } else {
      for (int d = lane_; d < a_.head_size; d += kWarp) {
        __nv_bfloat16 rounded;
        assign(rounded, head_[d]);
        head_[d] = to_float(rounded);
      }
      write_bytes(head_, a_.head_size, target, scale);
    }
  }

 private:
  const OmniCudaDecodeHeads& a_;
  float* head_;
  const int lane_;
};

template <class E>
__global__ void __launch_bounds__(kHeadWarps* kWarp) decode_heads(const OmniCudaDecodeHeads a) {
  OMNI_SHARED(float, shared);
  const int per_row = a.heads + 2 * a.key_value_heads;
  const std::int64_t task = static_cast<std::int64_t>(blockIdx.x) * kHeadWarps + threadIdx.x / kWarp;
  if (task >= std::int64_t{per_row} * a.row_count) return;
  const int row = static_cast<int>(task / per_row), number = static_cast<int>(task % per_row);
  const DecodeHead head(a, shared + static_cast<std::int64_t>(threadIdx.x / kWarp) * a.head_size);
  head.load(static_cast<const __nv_bfloat16*>(a.qkv) + task * a.head_size);
  if (number < a.heads) {
    head.norm(a.query_norm);
    head.rotate(row);
    head.store(static_cast<__nv_bfloat16*>(a.query) +
               (static_cast<std::int64_t>(row) * a.heads + number) * a.head_size);
    return;
  }
  const bool is_value = number >= a.heads + a.key_value_heads;
  const int own = number - a.heads - (is_value ? a.key_value_heads : 0);
  if (!is_value) {
    head.norm(a.key_norm);
    head.rotate(row);
  }
  const OmniCudaDecodeRow place = a.rows[row];
  const std::int64_t token =
      (static_cast<std::int64_t>(place.sequence) * a.key_value_heads + own) * a.room + place.position;
  float* scales = is_value ? a.value_scales : a.key_scales;
  head.write(static_cast<E*>(is_value ? a.values : a.keys) + token * a.head_size,
             scales ? scales + token : nullptr);
}

}  // namespace omni::cuda
