#pragma once

#include <cstdint>

#include "attention.h"
#include "numeric.cuh"

namespace omni::cuda {

// The keys that a row sees: first <= key < last.
struct Span {
  int first, last;
  __device__ __forceinline__ bool sees(int key) const { return first <= key && key < last; }
};

// Spans outside of [0, key_rows) are cut, so that wrong ones read nothing outside of the tensors.
__device__ __forceinline__ Span span_of(const OmniCudaAttention& a, int row) {
  return {max(a.key_first[row], 0), min(a.key_last[row], a.key_rows)};
}

// How much of a rectangle of rows and keys is seen; by monotony its first and last row tell.
enum class Sight { none, some, all };
__device__ __forceinline__ Sight sight_of(const Span& first_row, const Span& last_row, int key_begin,
                                          int key_end) {
  if (first_row.first >= key_end || last_row.last <= key_begin) return Sight::none;
  return last_row.first <= key_begin && first_row.last >= key_end ? Sight::all : Sight::some;
}

// Walks over the tiles of kKeys keys that the rows [row_begin, row_end) of a block see, row_end - row_begin
// at most the number of threads. All threads of the block call everything together.
template <int kKeys>
class KeyTiles {
 public:
  __device__ __forceinline__ KeyTiles(const OmniCudaAttention& a, int row_begin, int row_end) {
    const int row = row_begin + static_cast<int>(threadIdx.x);
    own_ = row < row_end ? span_of(a, row) : Span{0, 0};
    const bool gap = row + 1 < row_end && own_.last < span_of(a, row + 1).first;
    gaps_ = __syncthreads_or(gap) != 0;
    tile_ = span_of(a, row_begin).first / kKeys;
    end_ = (span_of(a, row_end - 1).last + kKeys - 1) / kKeys;
    skip_unseen();
  }

  __device__ __forceinline__ bool done() const { return tile_ >= end_; }
  __device__ __forceinline__ int key() const { return tile_ * kKeys; }
  __device__ __forceinline__ void next() {
    ++tile_;
    skip_unseen();
  }

 private:
  // Only between rows whose spans do not touch can there be tiles that nobody sees.
  __device__ __forceinline__ void skip_unseen() {
    if (!gaps_) return;
    while (tile_ < end_) {
      const int begin = tile_ * kKeys;
      if (__syncthreads_or(max(own_.first, begin) < min(own_.last, begin + kKeys))) break;
      ++tile_;
    }
  }

  Span own_;
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

}  // namespace omni::cuda
