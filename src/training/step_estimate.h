#pragma once

#include <cstdint>

#include "accelerator.h"
#include "omni/training/stage_config.h"

namespace omni::training {

// How long a step would take on accelerators of a kind: a model of it, not a measurement. docs/scaling.md says what it
// assumes, and where it would be wrong.

struct StepWork {
  double flops = 0;          // of the model, in all micro-batches of a step, forwards and backwards
  double forward_flops = 0;  // of them, forwards: a third, or up to a half where weights are frozen
  double recomputed_share =
      0;  // of the blocks, and about of the forward pass, that the backward pass makes again
  std::int64_t micro_batches = 1;
  int ranks = 1;
  Sharding sharding = Sharding::optimizer;
  double parameters = 0;
  // Of what the ranks exchange.
  struct Exchange {
    double gradient_bytes = 0;  // that are summed over the ranks, once
    double value_bytes = 0;     // that owners give to all, once
    int calls = 0;              // of each kind, one after the other
  };
  Exchange outside;  // the blocks
  Exchange blocks;
  int block_count = 0;        // that are trained
  bool beside_passes = true;  // goes what the ranks exchange; not where passes are replayed as a graph
};

// In seconds.
struct StepEstimate {
  double compute = 0;    // of the rank with the most micro-batches
  double reduction = 0;  // of gradients
  double gathering = 0;  // of values
  double unhidden = 0;   // part of both that no pass goes beside
  double update = 0;     // by the optimiser
  double total() const { return compute + unhidden + update; }
};
inline constexpr double kUpdateBytes = 30;  // of memory that AdamW reads and writes for a parameter
StepEstimate estimate_step(const StepWork& work, const Accelerator& accelerator);

}  // namespace omni::training
