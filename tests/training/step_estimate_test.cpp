#include "step_estimate.h"

#include <gtest/gtest.h>

namespace omni::training {
namespace {

const Accelerator kRound{.name = "round",
                         .peak_tflops = 1000,
                         .utilisation = 0.4,
                         .memory_gb = 100,
                         .memory_gb_per_second = 1000,
                         .node_size = 8,
                         .node_gb_per_second = 100,
                         .network_gb_per_second = 10,
                         .hop_microseconds = 5};
constexpr double kHop = 5e-6;

// By hand, from round numbers.
TEST(StepEstimate, OneGpuComputesAndUpdates) {
  const StepEstimate step = estimate_step({.flops = 8e14, .micro_batches = 4, .parameters = 1e9}, kRound);
  EXPECT_NEAR(step.compute, 8e14 / 4e14, 1e-9);
  EXPECT_NEAR(step.update, 0.03, 1e-9);
  EXPECT_EQ(step.unhidden + step.gathering, 0);
  const StepEstimate again = estimate_step(
      {.flops = 9e14, .forward_flops = 3e14, .recomputed_share = 1, .micro_batches = 4}, kRound);
  EXPECT_NEAR(again.compute, 12e14 / 4e14, 1e-9);
}

// Where weights are frozen, a backward pass is no more than a forward one.
TEST(StepEstimate, APassThatIsRecomputedCountsForWhatItIs) {
  StepWork work{.flops = 8e14, .forward_flops = 4e14, .recomputed_share = 1, .micro_batches = 2, .ranks = 2};
  work.blocks.gradient_bytes = 1e12;
  work.block_count = 4;
  StepEstimate step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 1.5, 1e-9) << "a batch: 2e14 forwards, again, and backwards, at 4e14 a second";
  const double reduction = 0.5 * 1e12 / 1e11;
  EXPECT_NEAR(step.unhidden, reduction - 0.75 * 1.0, 1e-9) << "what is recomputed hides gradients, too";
  work.recomputed_share = 0;
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 1.0, 1e-9);
  EXPECT_NEAR(step.unhidden, reduction - 0.75 * 0.5, 1e-9);
}

// Ten blocks and what is outside them, on four ranks of one node.
TEST(StepEstimate, WhatOutlastsTheLastBackwardAndTheNextForwardPassCounts) {
  StepWork work{.flops = 8e14, .forward_flops = 8e14 / 3, .micro_batches = 6, .ranks = 4, .parameters = 1e9};
  work.outside = {.gradient_bytes = 1e9, .value_bytes = 5e8, .calls = 2};
  work.blocks = {.gradient_bytes = 4e9, .value_bytes = 2e9, .calls = 20};
  work.block_count = 10;
  StepEstimate step = estimate_step(work, kRound);
  const double batch = 8e14 / 6 / 4e14, forward = batch / 3, backward = batch * 2 / 3;
  const auto ring = [](double bytes, int calls) { return 0.75 * bytes / 1e11 + calls * 3 * kHop; };
  EXPECT_NEAR(step.compute, 2 * batch, 1e-9) << "two ranks have two of the six";
  EXPECT_NEAR(step.reduction, ring(1e9, 2) + ring(4e9, 20), 1e-9);
  EXPECT_NEAR(step.gathering, ring(5e8, 2) + ring(2e9, 20), 1e-9);
  EXPECT_NEAR(step.unhidden, ring(1e9, 2) + ring(5e8, 2) + 0.1 * (ring(4e9, 20) + ring(2e9, 20)), 1e-9)
      << "what is outside the blocks, and those at the network's beginning";
  EXPECT_NEAR(step.update, 0.03 / 4, 1e-9);
  EXPECT_NEAR(step.total(), step.compute + step.unhidden + step.update, 1e-12);
  work.beside_passes = false;  // as where they are replayed
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.unhidden, ring(1e9, 2) + ring(5e8, 2) + ring(4e9, 20) + ring(2e9, 20), 1e-9);
  work.beside_passes = true;

  work.outside = {};
  work.blocks.gradient_bytes = 4e12;  // far more than a backward pass hides
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.unhidden, ring(4e12, 20) - 0.9 * backward + 0.1 * ring(2e9, 20), 1e-9);
  work.blocks.value_bytes = 2e12;
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.unhidden, ring(4e12, 20) - 0.9 * backward + ring(2e12, 20) - 0.9 * forward, 1e-9);

  work.ranks = 16;  // between nodes
  const double reduction = 15.0 / 16 * 4e12 / 1e10 + 20 * 15 * kHop;
  EXPECT_NEAR(estimate_step(work, kRound).reduction, reduction, 1e-6);
  work.sharding = Sharding::none;
  EXPECT_NEAR(estimate_step(work, kRound).reduction, 2 * reduction, 1e-6) << "there and back";
  EXPECT_EQ(estimate_step(work, kRound).gathering, 0);
  EXPECT_NEAR(estimate_step(work, kRound).update, 0.03, 1e-9);
}

// Two micro-batches on each of two ranks, four blocks.
TEST(StepEstimate, BlocksThatAreFullySharded) {
  StepWork work{.flops = 24e14,
                .forward_flops = 8e14,
                .recomputed_share = 1,
                .micro_batches = 4,
                .ranks = 2,
                .sharding = Sharding::full,
                .parameters = 2e9};
  work.outside = {.gradient_bytes = 2e9, .value_bytes = 2e9, .calls = 1};
  work.blocks = {.gradient_bytes = 8e9, .value_bytes = 4e9, .calls = 8};
  work.block_count = 4;
  const double root = 0.5 * 2e9 / 1e11 + kHop, gather = 0.5 * 4e9 / 1e11 + 8 * kHop,
               reduce = 0.5 * 8e9 / 1e11 + 8 * kHop;
  StepEstimate step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 2 * (0.5 + 0.5 + 1), 1e-9) << "forwards, again and backwards";
  EXPECT_NEAR(step.gathering, root + 4 * gather - 3 * gather / 4, 1e-9)
      << "all but those that stay between passes";
  EXPECT_NEAR(step.reduction, root + 2 * reduce, 1e-9);
  EXPECT_NEAR(step.unhidden, 2 * root + gather / 4 + reduce / 4, 1e-9) << "beside passes that are longer";
  work.blocks.value_bytes = 200e9;  // 1 s, beside 0.5 s forwards and 1.5 s backwards
  step = estimate_step(work, kRound);
  const double slow = 1 + 8 * kHop;
  EXPECT_NEAR(step.unhidden, 2 * root + slow / 4 + reduce / 4 + 2 * (slow - 0.5), 1e-9);
}

}  // namespace
}  // namespace omni::training
