#include "step_estimate.h"

#include <algorithm>
#include <cmath>

namespace omni::training {
namespace {

// Of a ring in which each rank passes on all but its own part.
double ring_seconds(double bytes, int calls, const StepWork& work, const Accelerator& accelerator) {
  if (work.ranks == 1) return 0;
  const double hops = work.ranks - 1;
  const double speed = 1e9 * (work.ranks <= accelerator.node_size ? accelerator.node_gb_per_second
                                                                  : accelerator.network_gb_per_second);
  return hops / work.ranks * bytes / speed + calls * hops * 1e-6 * accelerator.hop_microseconds;
}

// What of the calls of all blocks, one after the other, outlasts a pass through them. They go beside all blocks but
// one: gradients of a block follow its backward pass, and values precede its forward pass.
double beyond_pass(double seconds, double pass_seconds, int blocks) {
  if (blocks == 0) return 0;
  const double share = 1.0 / blocks;
  return std::max(seconds * share, seconds - pass_seconds * (1 - share));
}

// In the passes of each micro-batch a block's values are gathered beside the block before it, and in the backward pass the
// gradients of the one before are reduced, too: what takes longer than the block counts, and so do the first block's values
// and the last one's gradients, beside which nothing is computed.
void add_sharded_blocks(double gather, double reduce, const StepWork& work, double forward_seconds,
                        double backward_seconds, StepEstimate& step) {
  const double batches = std::ceil(static_cast<double>(work.micro_batches) / work.ranks);
  // The last block stays from the forward to the backward pass, the first one from there to the next micro-batch.
  const double kept = (2 * batches - 1) / work.block_count;
  step.gathering += (2 * batches - kept) * gather;
  step.reduction += batches * reduce;
  step.unhidden +=
      (gather + reduce) / work.block_count +
      batches * (std::max(0.0, gather - forward_seconds) + std::max(0.0, gather + reduce - backward_seconds));
}

}  // namespace

StepEstimate estimate_step(const StepWork& work, const Accelerator& accelerator) {
  StepEstimate step;
  const auto batches = static_cast<double>(work.micro_batches);
  const auto seconds = [&](double flops) { return flops / batches / accelerator.operations_per_second(); };
  const double forward_seconds = seconds(work.forward_flops),
               batch_seconds = seconds(work.flops) + work.recomputed_share * forward_seconds,
               backward_seconds = batch_seconds - forward_seconds;
  const bool sharded = work.sharding != Sharding::none;
  step.compute = std::ceil(batches / work.ranks) * batch_seconds;
  step.update =
      kUpdateBytes * work.parameters / (sharded ? work.ranks : 1) / (1e9 * accelerator.memory_gb_per_second);
  const auto reduce = [&](const StepWork::Exchange& part) {
    // In parts to their owners; else to all: there and back.
    return (sharded ? 1 : 2) * ring_seconds(part.gradient_bytes, part.calls, work, accelerator);
  };
  const auto gather = [&](const StepWork::Exchange& part) {
    return sharded ? ring_seconds(part.value_bytes, part.calls, work, accelerator) : 0;
  };
  // What is outside the blocks has gradients from both ends of the network, and is wanted before all else.
  step.reduction = reduce(work.outside);
  step.gathering = gather(work.outside);
  step.unhidden = step.reduction + step.gathering;
  const double reduction = reduce(work.blocks), gathering = gather(work.blocks);
  if (work.sharding == Sharding::full && work.block_count > 0) {
    add_sharded_blocks(gathering, reduction, work, forward_seconds, backward_seconds, step);
    return step;
  }
  // Beside the last backward pass of a step, and the first forward pass of the next.
  step.reduction += reduction;
  step.gathering += gathering;
  const double beside = work.beside_passes ? 1 : 0;
  step.unhidden += beyond_pass(reduction, beside * backward_seconds, work.block_count) +
                   beyond_pass(gathering, beside * forward_seconds, work.block_count);
  return step;
}

}  // namespace omni::training
