#include "omni/optimizer/schedule.h"

#include <gtest/gtest.h>

namespace omni::optimizer {
namespace {

TEST(Schedule, WarmsUpThenDescendsToItsShare) {
  const ScheduleConfig config{
      .peak_learning_rate = 2, .shape = "cosine", .warmup_share = 0.1, .final_share = 0.25};
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0), 0);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0.05), 1);
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0.1), 2);
  EXPECT_NEAR(learning_rate_at(config, 0.55), 2 * (0.25 + 0.75 * 0.5), 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 1), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 7), 0.5, 1e-12);
}

TEST(Schedule, OtherShapes) {
  ScheduleConfig config{.peak_learning_rate = 1, .shape = "linear", .warmup_share = 0, .final_share = 0};
  EXPECT_NEAR(learning_rate_at(config, 0.25), 0.75, 1e-12);
  config.shape = "constant";
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0.9), 1);
  config.warmup_share = 1;
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0.5), 0.5);
}

TEST(Schedule, StaysAtItsPeakUntilItDecays) {
  const ScheduleConfig config{.peak_learning_rate = 2,
                              .shape = "warmup_stable_decay",
                              .warmup_share = 0.1,
                              .final_share = 0.25,
                              .decay_share = 0.4};
  EXPECT_DOUBLE_EQ(learning_rate_at(config, 0.05), 1);
  for (const double progress : {0.1, 0.3, 0.6}) EXPECT_DOUBLE_EQ(learning_rate_at(config, progress), 2);
  EXPECT_NEAR(learning_rate_at(config, 0.8), 2 * (0.25 + 0.75 * 0.5), 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 1), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(config, 2), 0.5, 1e-12);
  const ScheduleConfig endless{.peak_learning_rate = 2, .shape = "warmup_stable_decay", .decay_share = 0};
  EXPECT_DOUBLE_EQ(learning_rate_at(endless, 1), 2);
}

}  // namespace
}  // namespace omni::optimizer
