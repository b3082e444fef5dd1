#pragma once

#include "head_rotation_interface.h"
#include "numeric.cuh"

namespace omni::cuda {

constexpr int kRotationWarps = 8;
constexpr int kRotationThreads = kRotationWarps * kWarp;

// The pairs of one head of one row that a lane of its warp turns: kPairs of them, fewer in the last lanes.
template <int kPairs>
struct HeadPairs {
  float low[kPairs], high[kPairs];
};

template <int kPairs>
class HeadLane {
 public:
  __device__ HeadLane(const OmniCudaHeadRotation& a, std::int64_t row)
      : half_(a.head_size / 2),
        interleaved_(a.interleaved != 0),
        lane_(static_cast<int>(threadIdx.x) % kWarp),
        angles_(row * half_),
        weights_((a.row_group ? static_cast<int>(a.row_group[row]) : 0) * a.head_size) {}

  __device__ bool has(int i) const { return pair(i) < half_; }
  __device__ int low(int i) const { return interleaved_ ? 2 * pair(i) : pair(i); }
  __device__ int high(int i) const { return interleaved_ ? 2 * pair(i) + 1 : pair(i) + half_; }
  // Of pair i in cosine and sine.
  __device__ std::int64_t angle(int i) const { return angles_ + pair(i); }
  // Where the row's group begins in a table of weights.
  __device__ int weights() const { return weights_; }

  template <class T>
  __device__ HeadPairs<kPairs> load(const T* head) const {
    HeadPairs<kPairs> x;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      x.low[i] = has(i) ? to_float(head[low(i)]) : 0.0f;
      x.high[i] = has(i) ? to_float(head[high(i)]) : 0.0f;
    }
    return x;
  }
  template <class T>
  __device__ void store(T* head, const HeadPairs<kPairs>& x) const {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (!has(i)) continue;
      assign(head[low(i)], x.low[i]);
      assign(head[high(i)], x.high[i]);
    }
  }
  // 1 / the root mean square of the head.
  __device__ float norm_factor(const HeadPairs<kPairs>& x, float epsilon) const {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) squares += x.low[i] * x.low[i] + x.high[i] * x.high[i];
    return rsqrtf(group_sum<5>(squares) / static_cast<float>(2 * half_) + epsilon);
  }
  // By the row's angles, or back.
  __device__ void turn(HeadPairs<kPairs>& x, const OmniCudaHeadRotation& a, bool back) const {
    if (!a.cosine) return;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (!has(i)) continue;
      const float c = a.cosine[angle(i)], s = back ? -a.sine[angle(i)] : a.sine[angle(i)];
      const float turned = x.low[i] * c - x.high[i] * s;
      x.high[i] = x.low[i] * s + x.high[i] * c;
      x.low[i] = turned;
    }
  }

 private:
  __device__ int pair(int i) const { return lane_ + i * kWarp; }

  int half_;
  bool interleaved_;
  int lane_;
  std::int64_t angles_;
  int weights_;
};

// One warp for each head of queries and keys of each row.
template <class T, int kPairs>
__global__ void __launch_bounds__(kRotationThreads) head_rotation(OmniCudaHeadRotation a) {
  const int turned = a.heads + a.key_value_heads, all = turned + a.key_value_heads;
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kRotationWarps + threadIdx.x / kWarp;
  const std::int64_t row = number / turned;
  if (row >= a.rows) return;
  const int head = static_cast<int>(number - row * turned);
  const bool of_query = head < a.heads;
  const HeadLane<kPairs> lane(a, row);
  HeadPairs<kPairs> x = lane.load(static_cast<const T*>(a.qkv) + (row * all + head) * a.head_size);
  if (const float* norm = of_query ? a.query_norm : a.key_norm) {
    const float factor = lane.norm_factor(x, a.epsilon);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (!lane.has(i)) continue;
      x.low[i] *= factor * norm[lane.weights() + lane.low(i)];
      x.high[i] *= factor * norm[lane.weights() + lane.high(i)];
    }
  }
  lane.turn(x, a, false);
  T* target = of_query ? static_cast<T*>(a.query) + (row * a.heads + head) * a.head_size
                       : static_cast<T*>(a.key) + (row * a.key_value_heads + head - a.heads) * a.head_size;
  lane.store(target, x);
}

// The gradient g of a head after norm and weights becomes that of the head itself, r (g w - x r^2 mean(g w x)), and
// adds g x r to that of the weights, of which each warp has a copy of its own.
template <int kPairs>
__device__ __forceinline__ void norm_head_gradient(HeadPairs<kPairs>& g, const HeadPairs<kPairs>& x,
                                                   const HeadLane<kPairs>& lane, const float* norm,
                                                   float* weight_sums, const OmniCudaHeadRotation& a) {
  const float factor = lane.norm_factor(x, a.epsilon);
  float product = 0;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    if (!lane.has(i)) continue;
    const int low = lane.weights() + lane.low(i), high = lane.weights() + lane.high(i);
    if (weight_sums) {
      weight_sums[low] += g.low[i] * x.low[i] * factor;
      weight_sums[high] += g.high[i] * x.high[i] * factor;
    }
    g.low[i] *= norm[low];
    g.high[i] *= norm[high];
    product += g.low[i] * x.low[i] + g.high[i] * x.high[i];
  }
  const float slope = group_sum<5>(product) / static_cast<float>(a.head_size) * factor * factor;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    g.low[i] = factor * (g.low[i] - x.low[i] * slope);
    g.high[i] = factor * (g.high[i] - x.high[i] * slope);
  }
}

// A block has some rows, its warps their heads by turns. Shared memory holds, where the weights' gradients are wanted,
// [warps, 2, groups, head_size] of them.
template <class T, int kPairs>
__global__ void __launch_bounds__(kRotationThreads) head_rotation_gradient(OmniCudaHeadRotationGradient b) {
  OMNI_SHARED(float, shared);
  const OmniCudaHeadRotation& a = b.forward;
  const int turned = a.heads + a.key_value_heads, all = turned + a.key_value_heads;
  const int weights = a.groups * a.head_size, warp = static_cast<int>(threadIdx.x) / kWarp;
  if (b.norm_gradients) {
    for (int i = static_cast<int>(threadIdx.x); i < kRotationWarps * 2 * weights; i += kRotationThreads)
      shared[i] = 0;
    __syncthreads();
  }
  const std::int64_t first = blockIdx.x * kOmniCudaRotationRows;
  const int rows = static_cast<int>(min(kOmniCudaRotationRows, a.rows - first));
  for (int item = warp; item < rows * all; item += kRotationWarps) {
    const std::int64_t row = first + item / all;
    const int head = item % all;
    const std::int64_t place = (row * all + head) * a.head_size;
    const HeadLane<kPairs> lane(a, row);
    T* target = static_cast<T*>(b.qkv_gradient) + place;
    if (head >= turned) {
      const std::int64_t own = row * a.key_value_heads + head - turned;
      lane.store(target, lane.load(static_cast<const T*>(b.value_gradient) + own * a.head_size));
      continue;
    }
    const bool of_query = head < a.heads;
    HeadPairs<kPairs> g =
        of_query ? lane.load(static_cast<const T*>(b.query_gradient) + (row * a.heads + head) * a.head_size)
                 : lane.load(static_cast<const T*>(b.key_gradient) +
                             (row * a.key_value_heads + head - a.heads) * a.head_size);
    lane.turn(g, a, true);
    if (const float* norm = of_query ? a.query_norm : a.key_norm) {
      float* sums = b.norm_gradients ? shared + (2 * warp + (of_query ? 0 : 1)) * weights : nullptr;
      norm_head_gradient(g, lane.load(static_cast<const T*>(a.qkv) + place), lane, norm, sums, a);
    }
    lane.store(target, g);
  }
  if (!b.norm_gradients) return;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * weights; i += kRotationThreads) {
    float sum = 0;
    for (int other = 0; other < kRotationWarps; ++other) sum += shared[2 * weights * other + i];
    b.partial[blockIdx.x * 2 * weights + i] = sum;
  }
}

}  // namespace omni::cuda
