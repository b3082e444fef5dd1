#pragma once

#include <algorithm>
#include <atomic>

#include "cpu/decode_linear_kernels.h"
#include "omni/kernels/decode_linear.h"

namespace omni::kernels {

// The weight's part of a call, all its outputs; as long as the weight lives.
DecodeLinearCall call_of(const DecodeWeight& weight);

// How many rows of which type a call has, and so how it lays them out.
void set_rows(DecodeLinearCall& call, std::int64_t rows, bool bf16);
std::int64_t lane_count(const DecodeLinearCall& call);  // numbers at `lanes`, of a call whose rows are set

// The blocks of a call, handed out to whoever is done with its last ones: cores read memory at different speeds. Many at
// first and then ever fewer, so that threads end together.
class BlockTurns {
 public:
  BlockTurns(const DecodeLinearCall& call, std::int64_t threads);
  std::int64_t most_threads() const;  // for whom there is work

  // To be called by every thread, with one counter that starts at zero.
  template <class Work>
  void take(std::atomic<std::int64_t>& next, const Work& work) const {
    for (std::int64_t taken = next.load(std::memory_order_relaxed); taken < count_;) {
      const std::int64_t some = std::min(count_ - taken, std::max(fewest_, (count_ - taken) / shares_));
      if (!next.compare_exchange_weak(taken, taken + some, std::memory_order_relaxed)) continue;
      work(first_ + taken, first_ + taken + some);
      taken = next.load(std::memory_order_relaxed);
    }
  }

 private:
  std::int64_t first_, count_, fewest_, shares_, per_thread_;
};

}  // namespace omni::kernels
