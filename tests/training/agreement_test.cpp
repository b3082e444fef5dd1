#include "agreement.h"

#include <gtest/gtest.h>

#include "thread_ranks.h"

namespace omni::training {
namespace {

TEST(DistributedAgreement, EveryRankHearsTheSame) {
  test::run_thread_ranks(3, [](distributed::Collectives& collectives) {
    Agreement agreement(collectives, at::kCPU);
    const int rank = collectives.rank();
    for (int step = 0; step < 3; ++step) {
      StepHeader mine{.loss_weights = {1.5 * rank, 2, 0},
                      .tokens = 100 + rank,
                      .interrupted = false,
                      .stopped = rank == 1 && step == 1,
                      .checkpoint = rank == 2 && step == 2,
                      .progress = 0.25 + rank};
      agreement.send(mine);
      const StepHeader agreed = agreement.receive();
      EXPECT_DOUBLE_EQ(agreed.loss_weights[0], 4.5);
      EXPECT_DOUBLE_EQ(agreed.loss_weights[1], 6);
      EXPECT_DOUBLE_EQ(agreed.loss_weights[2], 0);
      EXPECT_EQ(agreed.tokens, 303);
      EXPECT_FALSE(agreed.interrupted);
      EXPECT_EQ(agreed.stopped, step == 1);
      EXPECT_EQ(agreed.checkpoint, step == 2);
      EXPECT_DOUBLE_EQ(agreed.progress, 0.25);
    }
  });
}

TEST(DistributedAgreement, OneRankHearsItself) {
  const auto alone = distributed::make_lone_collectives();
  Agreement agreement(*alone, at::kCPU);
  agreement.send({.loss_weights = {0.5, 0, 2}, .tokens = 9, .stopped = true, .progress = 0.75});
  const StepHeader heard = agreement.receive();
  EXPECT_DOUBLE_EQ(heard.loss_weights[2], 2);
  EXPECT_EQ(heard.tokens, 9);
  EXPECT_TRUE(heard.stopped);
  EXPECT_FALSE(heard.interrupted);
  EXPECT_DOUBLE_EQ(heard.progress, 0.75);
}

}  // namespace
}  // namespace omni::training
