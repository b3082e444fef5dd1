#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "omni/training/stage_config.h"

namespace omni::training {

// How long a step would take on GPUs of a kind: a model of it, not a measurement. docs/scaling.md says what it
// assumes, and where it would be wrong.

struct Accelerator {
  const char* name;
  double peak_flops;    // a second, dense bf16
  double memory_bytes;  // of each
  double memory_bytes_per_second;
  int node_size;                    // that see each other directly
  double node_bytes_per_second;     // of each, one way, within a node
  double network_bytes_per_second;  // of each, one way, between nodes
};
std::vector<std::string> accelerator_names();
const Accelerator& find_accelerator(std::string_view name);  // throws Error(usage) that names all

struct StepWork {
  double flops = 0;          // of the model, in all micro-batches of a step, forwards and backwards
  double forward_flops = 0;  // of them, forwards: a third, or up to a half where weights are frozen
  double recomputed_share =
      0;  // of the blocks, and about of the forward pass, that the backward pass makes again
  std::int64_t micro_batches = 1;
  int ranks = 1;
  Sharding sharding = Sharding::optimizer;
  double gradient_bytes = 0;  // that are summed over the ranks, once
  double value_bytes = 0;     // that owners give to all, once
  double parameters = 0;
  int calls = 1;  // of each kind in a step, one after the other
  // Of blocks that are fully sharded, which are not in the bytes and calls above: exchanged for each micro-batch.
  struct Blocks {
    int count = 0;
    double gradient_bytes = 0, value_bytes = 0;  // of all
    int calls = 0;                               // of each kind, for all
  };
  Blocks blocks;
};

// In seconds.
struct StepEstimate {
  double compute = 0;    // of the rank with the most micro-batches
  double reduction = 0;  // of gradients
  double gathering = 0;  // of the values of fully sharded blocks
  double unhidden = 0;   // part of both that no pass goes beside
  double gather = 0;     // of values
  double update = 0;     // by the optimiser
  double total() const { return compute + unhidden + gather + update; }
};
inline constexpr double kAssumedUtilisation = 0.4;  // of the peak, in forward and backward passes
inline constexpr double kAssumedHopSeconds = 5e-6;  // of a message from rank to rank
inline constexpr double kUpdateBytes = 30;          // of memory that AdamW reads and writes for a parameter
StepEstimate estimate_step(const StepWork& work, const Accelerator& accelerator);

}  // namespace omni::training
