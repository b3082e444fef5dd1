#pragma once

#include <atomic>

#include "cpu/decode_linear_kernels.h"
#include "omni/kernels/decode_linear.h"

namespace omni::kernels {

// The weight's part of a call, all its outputs; as long as the weight lives.
DecodeLinearCall call_of(const DecodeWeight& weight);

// How many rows of which type a call has, and so how it lays them out.
void set_rows(DecodeLinearCall& call, std::int64_t rows, bool bf16);
std::int64_t lane_count(const DecodeLinearCall& call);  // numbers at `lanes`, of a call whose rows are set

// The blocks of a call, handed out some at a time to whoever is done with its last ones: cores read memory at
// different speeds.
class BlockTurns {
 public:
  BlockTurns(const DecodeLinearCall& call, std::int64_t threads);
  std::int64_t most_threads() const;  // for whom there is work

  // To be called by every thread, with one counter that starts at zero.
  template <class Work>
  void take(std::atomic<std::int64_t>& next, const Work& work) const {
    for (std::int64_t first = first_ + next.fetch_add(some_); first < last_;
         first = first_ + next.fetch_add(some_))
      work(first, std::min(last_, first + some_));
  }

 private:
  std::int64_t first_, last_, least_, some_;
};

}  // namespace omni::kernels
