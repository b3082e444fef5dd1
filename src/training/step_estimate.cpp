#include "step_estimate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "omni/core/error.h"

namespace omni::training {
namespace {

// By their makers' data sheets; the network: one adapter of 400 Gbit/s (A100: 200) for each GPU.
constexpr std::array<Accelerator, 3> kAccelerators = {{{"a100", 312e12, 80e9, 2.0e12, 8, 300e9, 25e9},
                                                       {"h100", 989e12, 80e9, 3.35e12, 8, 450e9, 50e9},
                                                       {"h200", 989e12, 141e9, 4.8e12, 8, 450e9, 50e9}}};

// Of a ring in which each rank passes on all but its own part.
double ring_seconds(double bytes, int calls, const StepWork& work, const Accelerator& accelerator) {
  if (work.ranks == 1) return 0;
  const double hops = work.ranks - 1;
  const double speed = work.ranks <= accelerator.node_size ? accelerator.node_bytes_per_second
                                                           : accelerator.network_bytes_per_second;
  return hops / work.ranks * bytes / speed + calls * hops * kAssumedHopSeconds;
}

// Adds what the blocks take in the passes of each micro-batch. Beside a block the next one is gathered, and in the backward
// pass the gradients of the one before are reduced: what takes longer than the block counts, and so do the first block's
// values and the last one's gradients, beside which nothing is computed.
void add_blocks(const StepWork& work, const Accelerator& accelerator, double forward_seconds,
                double backward_seconds, StepEstimate& step) {
  const StepWork::Blocks& blocks = work.blocks;
  if (blocks.count == 0 || work.ranks == 1) return;
  const double gather = ring_seconds(blocks.value_bytes, blocks.calls, work, accelerator),
               reduce = ring_seconds(blocks.gradient_bytes, blocks.calls, work, accelerator);
  const double batches = std::ceil(static_cast<double>(work.micro_batches) / work.ranks);
  // The last block stays from the forward to the backward pass, the first one from there to the next micro-batch.
  const double kept = (2 * batches - 1) / blocks.count;
  step.gathering += (2 * batches - kept) * gather;
  step.reduction += batches * reduce;
  step.unhidden +=
      gather / blocks.count + reduce / blocks.count +
      batches * (std::max(0.0, gather - forward_seconds) + std::max(0.0, gather + reduce - backward_seconds));
}

}  // namespace

std::vector<std::string> accelerator_names() {
  std::vector<std::string> names;
  for (const Accelerator& accelerator : kAccelerators) names.emplace_back(accelerator.name);
  return names;
}

const Accelerator& find_accelerator(std::string_view name) {
  std::string names;
  for (const Accelerator& accelerator : kAccelerators) {
    if (accelerator.name == name) return accelerator;
    names += (names.empty() ? "" : ", ") + std::string(accelerator.name);
  }
  fail(ErrorKind::usage, "there are no figures of the GPU '", name, "'. Those known are ", names);
}

StepEstimate estimate_step(const StepWork& work, const Accelerator& accelerator) {
  StepEstimate step;
  const auto batches = static_cast<double>(work.micro_batches);
  const auto seconds = [&](double flops) {
    return flops / batches / (kAssumedUtilisation * accelerator.peak_flops);
  };
  const double forward_seconds = seconds(work.forward_flops),
               batch_seconds = seconds(work.flops) + work.recomputed_share * forward_seconds;
  const bool sharded = work.sharding != Sharding::none;
  step.compute = std::ceil(batches / work.ranks) * batch_seconds;
  // Gradients in parts to their owners; else to all: there and back.
  step.reduction = (sharded ? 1 : 2) * ring_seconds(work.gradient_bytes, work.calls, work, accelerator);
  // Beside blocks that are fully sharded the root's do not go.
  step.unhidden = work.sharding == Sharding::full
                      ? step.reduction
                      : std::max(0.0, step.reduction - (batch_seconds - forward_seconds));
  add_blocks(work, accelerator, forward_seconds, batch_seconds - forward_seconds, step);
  if (sharded) step.gather = ring_seconds(work.value_bytes, work.calls, work, accelerator);
  step.update =
      kUpdateBytes * work.parameters / (sharded ? work.ranks : 1) / accelerator.memory_bytes_per_second;
  return step;
}

}  // namespace omni::training
