#pragma once

#include <cstdint>

#include "attention_tiles.h"
#include "numeric.cuh"
#include "packed_attention_interface.h"

namespace omni::cuda {

__device__ __forceinline__ RowSpans row_spans(const OmniCudaAttention& a) {
  return {a.key_first, a.key_last, a.key_rows};
}
__device__ __forceinline__ Span span_of(const OmniCudaAttention& a, int row) { return row_spans(a).of(row); }

// Walks over the tiles of kKeys keys that the rows of a block see. All threads of the block call everything
// together.
template <int kKeys>
class KeyTiles {
 public:
  // Fills spans, kRows in shared memory and at most one per thread, with those of the rows from row_begin on;
  // rows from row_end on get that of the last one.
  template <int kRows>
  __device__ __forceinline__ static KeyTiles over(const OmniCudaAttention& a, int row_begin, int row_end,
                                                  Span (&spans)[kRows]) {
    const int thread = static_cast<int>(threadIdx.x), row = row_begin + thread;
    const Span own = span_of(a, min(row, row_end - 1));
    if (thread < kRows) spans[thread] = own;
    const bool gap = row + 1 < row_end && own.last < span_of(a, row + 1).first;
    KeyTiles tiles;
    tiles.gaps_ = __syncthreads_or(gap) != 0;
    tiles.tile_ = spans[0].first / kKeys;
    tiles.end_ = (spans[kRows - 1].last + kKeys - 1) / kKeys;
    tiles.skip_unseen(spans);
    return tiles;
  }

  __device__ __forceinline__ bool done() const { return tile_ >= end_; }
  __device__ __forceinline__ int key() const { return tile_ * kKeys; }
  template <int kRows>
  __device__ __forceinline__ void next(const Span (&spans)[kRows]) {
    ++tile_;
    skip_unseen(spans);
  }

 private:
  // Only between rows whose spans do not touch can there be tiles that nobody sees.
  template <int kRows>
  __device__ __forceinline__ void skip_unseen(const Span (&spans)[kRows]) {
    if (!gaps_) return;
    const int thread = static_cast<int>(threadIdx.x);
    while (tile_ < end_) {
      const int begin = tile_ * kKeys;
      const bool sees =
          thread < kRows && max(spans[thread].first, begin) < min(spans[thread].last, begin + kKeys);
      if (__syncthreads_or(sees)) break;
      ++tile_;
    }
  }

  bool gaps_;
  int tile_, end_;
};

// The first i with values[i] >= bound, or count; `values` never decreases. All lanes of a warp call it
// together and look at 32 places at once.
__device__ __forceinline__ int lower_bound(const std::int32_t* values, int count, int bound) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int low = 0, size = count;
  while (size > 0) {
    const int step = (size + kWarp - 1) / kWarp;
    const int last = min((lane + 1) * step, size) - 1;  // of the lane's segment
    const int below = __popc(__ballot_sync(kAllLanes, values[low + last] < bound));
    if (below == kWarp) return low + size;
    low += below * step;
    size = min(step, size - below * step) - 1;
  }
  return low;
}

// The tiles of queries that see the keys from `key` on. All lanes of a warp call it together.
template <int kKeys, int kQueries>
__device__ __forceinline__ SeeingQueryTiles<kQueries> queries_seeing(const OmniCudaAttention& a, int key,
                                                                     int key_head) {
  const int group = a.heads / a.key_value_heads;
  return {lower_bound(a.key_last, a.query_rows, key + 1), lower_bound(a.key_first, a.query_rows, key + kKeys),
          key_head * group, group};
}

}  // namespace omni::cuda
