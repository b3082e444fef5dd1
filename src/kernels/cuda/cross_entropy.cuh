#pragma once

#include "cross_entropy_interface.h"
#include "vector_rows.cuh"

namespace omni::cuda {

constexpr int kCrossEntropyWarps = 8;  // of a block: for one row, or for one each
constexpr int kCrossEntropyThreads = kCrossEntropyWarps * kWarp;

// The softmax of a part of a row, from one pass over it (Milakov & Gimelshein 2018, arXiv 1805.02867).
struct PartialSoftmax {
  float top = minus_infinity();
  float sum = 0;        // of exp(logit - top)
  int at = 0x7fffffff;  // the first column with the largest logit

  // Logits of the columns from `first` on.
  template <int kCount>
  __device__ void add(const float (&logits)[kCount], int first) {
    float largest = top;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (!(logits[k] > largest)) continue;
      largest = logits[k];
      at = first + k;
    }
    if (largest > top) sum *= __expf(top - largest);
    top = largest;
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (logits[k] != minus_infinity()) sum += __expf(logits[k] - top);
  }
  __device__ void merge(const PartialSoftmax& other) {
    const float largest = fmaxf(top, other.top);
    if (largest != minus_infinity())
      sum = sum * __expf(top - largest) + other.sum * __expf(other.top - largest);
    else
      sum += other.sum;
    if (other.top > top || (other.top == top && other.at < at)) at = other.at;
    top = largest;
  }
  __device__ void merge_lanes() {
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      PartialSoftmax other;
      other.top = __shfl_xor_sync(kAllLanes, top, distance);
      other.sum = __shfl_xor_sync(kAllLanes, sum, distance);
      other.at = __shfl_xor_sync(kAllLanes, at, distance);
      // Both lanes add in the same order, so that all have the same bits.
      if (threadIdx.x & distance) {
        other.merge(*this);
        *this = other;
      } else {
        merge(other);
      }
    }
  }
};

// A row has kWarps warps: one, or the whole block, whose partial softmaxes meet in shared memory. A thread reads kCount
// logits at a time.
template <class T, int kCount, int kWarps>
__global__ void __launch_bounds__(kCrossEntropyThreads) cross_entropy(OmniCudaCrossEntropy a) {
  constexpr int kThreads = kWarps * kWarp;
  OMNI_SHARED(PartialSoftmax, shared);
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (kCrossEntropyWarps / kWarps) +
                           static_cast<int>(threadIdx.x) / kThreads;
  if (row >= a.rows) return;
  T* logits = static_cast<T*>(a.logits) + row * a.columns;
  const int columns = static_cast<int>(a.columns), target = a.targets[row];
  const float target_logit = to_float(logits[target]), weight = a.weights[row];

  PartialSoftmax all;
  for (int first = thread * kCount; first < columns; first += kThreads * kCount) {
    float own[kCount];
    load_vector(logits + first, own);
    all.add(own, first);
  }
  all.merge_lanes();
  if constexpr (kWarps > 1) {
    if (thread % kWarp == 0) shared[thread / kWarp] = all;
    __syncthreads();
    all = shared[0];
    for (int warp = 1; warp < kWarps; ++warp) all.merge(shared[warp]);
  }
  const float log_sum = all.top + logf(all.sum);
  if (thread == 0) {
    a.log_sums[row] = log_sum;
    a.losses[row] = log_sum - target_logit;
    a.correct[row] = all.at == target ? 1 : 0;
  }
  // The target's logit is read before its gradient takes its place, whichever lane writes that.
  __syncwarp();
  const float scale = weight * (1.0f + 2.0f * a.z_loss * log_sum);
  for (int first = thread * kCount; first < columns; first += kThreads * kCount) {
    float own[kCount];
    load_vector(logits + first, own);
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      own[k] = __expf(own[k] - log_sum) * scale - (first + k == target ? weight : 0.0f);
    store_vector(logits + first, own);
  }
}

}  // namespace omni::cuda
