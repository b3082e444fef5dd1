#include "step_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"

namespace omni::training {
namespace {

constexpr Accelerator kRound{.name = "round",
                             .peak_flops = 1e15,
                             .memory_bytes = 1e11,
                             .memory_bytes_per_second = 1e12,
                             .node_size = 8,
                             .node_bytes_per_second = 1e11,
                             .network_bytes_per_second = 1e10};

// By hand, from round numbers.
TEST(StepEstimate, OneGpuComputesAndUpdates) {
  const StepEstimate step = estimate_step({.flops = 8e14, .micro_batches = 4, .parameters = 1e9}, kRound);
  EXPECT_NEAR(step.compute, 8e14 / 4e14, 1e-9);
  EXPECT_NEAR(step.update, 0.03, 1e-9);
  EXPECT_EQ(step.unhidden + step.gather, 0);
  const StepEstimate again = estimate_step(
      {.flops = 9e14, .forward_flops = 3e14, .recomputed_share = 1, .micro_batches = 4}, kRound);
  EXPECT_NEAR(again.compute, 12e14 / 4e14, 1e-9);
}

// Where weights are frozen, a backward pass is no more than a forward one.
TEST(StepEstimate, APassThatIsRecomputedCountsForWhatItIs) {
  StepWork work{.flops = 8e14,
                .forward_flops = 4e14,
                .recomputed_share = 1,
                .micro_batches = 2,
                .ranks = 2,
                .gradient_bytes = 1e12};
  StepEstimate step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 1.5, 1e-9) << "a batch: 2e14 forwards, again, and backwards, at 4e14 a second";
  const double reduction = 0.5 * 1e12 / 1e11 + kAssumedHopSeconds;
  EXPECT_NEAR(step.unhidden, reduction - 1.0, 1e-9) << "what is recomputed hides gradients, too";
  work.recomputed_share = 0;
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 1.0, 1e-9);
  EXPECT_NEAR(step.unhidden, reduction - 0.5, 1e-9);
}

TEST(StepEstimate, WhatOutlastsTheLastBackwardPassCounts) {
  StepWork work{.flops = 8e14,
                .forward_flops = 8e14 / 3,
                .micro_batches = 6,
                .ranks = 4,
                .gradient_bytes = 4e9,
                .value_bytes = 2e9,
                .parameters = 1e9,
                .calls = 10};
  StepEstimate step = estimate_step(work, kRound);
  const double batch = 8e14 / 6 / 4e14, latency = 10 * 3 * kAssumedHopSeconds;
  EXPECT_NEAR(step.compute, 2 * batch, 1e-9) << "two ranks have two of the six";
  EXPECT_NEAR(step.reduction, 0.75 * 4e9 / 1e11 + latency, 1e-9);
  EXPECT_EQ(step.unhidden, 0);
  EXPECT_NEAR(step.gather, 0.75 * 2e9 / 1e11 + latency, 1e-9);
  EXPECT_NEAR(step.update, 0.03 / 4, 1e-9);
  EXPECT_NEAR(step.total(), step.compute + step.gather + step.update, 1e-12);

  work.gradient_bytes = 4e12;  // far more than a backward pass hides
  step = estimate_step(work, kRound);
  EXPECT_NEAR(step.unhidden, step.reduction - batch * 2 / 3, 1e-9);

  work.ranks = 16;  // between nodes
  EXPECT_NEAR(estimate_step(work, kRound).reduction, 15.0 / 16 * 4e12 / 1e10 + 10 * 15 * kAssumedHopSeconds,
              1e-6);
  work.sharding = Sharding::none;
  EXPECT_NEAR(estimate_step(work, kRound).reduction,
              2 * (15.0 / 16 * 4e12 / 1e10 + 10 * 15 * kAssumedHopSeconds), 1e-6);
  EXPECT_EQ(estimate_step(work, kRound).gather, 0);
}

// Two micro-batches on each of two ranks, four blocks.
TEST(StepEstimate, BlocksThatAreFullySharded) {
  StepWork work{.flops = 24e14,
                .forward_flops = 8e14,
                .recomputed_share = 1,
                .micro_batches = 4,
                .ranks = 2,
                .sharding = Sharding::full,
                .gradient_bytes = 2e9,
                .value_bytes = 2e9,
                .parameters = 2e9,
                .calls = 1,
                .blocks = {.count = 4, .gradient_bytes = 8e9, .value_bytes = 4e9, .calls = 8}};
  const double hop = kAssumedHopSeconds, root = 0.5 * 2e9 / 1e11 + hop, gather = 0.5 * 4e9 / 1e11 + 8 * hop,
               reduce = 0.5 * 8e9 / 1e11 + 8 * hop;
  StepEstimate step = estimate_step(work, kRound);
  EXPECT_NEAR(step.compute, 2 * (0.5 + 0.5 + 1), 1e-9) << "forwards, again and backwards";
  EXPECT_NEAR(step.gathering, 4 * gather - 3 * gather / 4, 1e-9) << "all but those that stay between passes";
  EXPECT_NEAR(step.reduction, root + 2 * reduce, 1e-9);
  EXPECT_NEAR(step.unhidden, root + gather / 4 + reduce / 4, 1e-9) << "beside passes that are longer";
  EXPECT_NEAR(step.gather, root, 1e-9);
  work.blocks.value_bytes = 200e9;  // 1 s, beside 0.5 s forwards and 1.5 s backwards
  step = estimate_step(work, kRound);
  const double slow = 1 + 8 * hop;
  EXPECT_NEAR(step.unhidden, root + slow / 4 + reduce / 4 + 2 * (slow - 0.5), 1e-9);
}

TEST(StepEstimate, GpusAreKnownByName) {
  EXPECT_EQ(find_accelerator("h100").memory_bytes, 80e9);
  for (const std::string& name : accelerator_names()) EXPECT_EQ(find_accelerator(name).name, name);
  try {
    (void)find_accelerator("h900");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("a100, h100, h200"));
  }
}

}  // namespace
}  // namespace omni::training
