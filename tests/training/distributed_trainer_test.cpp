// Whole runs on several ranks, which are threads here, against runs on one.
#include <gmock/gmock.h>

#include <cmath>

#include "caption_world.h"
#include "omni/core/error.h"
#include "rank_runs.h"

namespace omni::training {
namespace {

class DistributedTrainer : public CaptionWorld {
 protected:
  // Four micro-batches a step.
  StageConfig run_config(const std::string& name) const {
    StageConfig c = config(name);
    c.tokens_per_step = 256;
    c.steps = 20;
    return c;
  }

  static std::vector<double> numbers(const StageConfig& c, const char* key) {
    std::vector<double> values;
    for (const auto& line : test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl"))
      values.push_back(line.at(key));
    return values;
  }

  static void expect_the_same_run(const StageConfig& got, const StageConfig& expected) {
    const std::vector<double> losses = numbers(got, "loss"), wanted = numbers(expected, "loss");
    ASSERT_EQ(losses.size(), wanted.size());
    EXPECT_NEAR(losses[0] / wanted[0], 1, 1e-6);
    for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i] / wanted[i], 1, 1e-4) << i;
    EXPECT_EQ(numbers(got, "tokens"), numbers(expected, "tokens"));
    EXPECT_EQ(numbers(got, "learning_rate"), numbers(expected, "learning_rate"));
  }
};

TEST_F(DistributedTrainer, TakesTheSameStepsOnAnyNumberOfRanks) {
  const StageConfig alone = run_config("alone");
  run_on_thread_ranks(alone, 1);
  for (const char* sharding : {"none", "optimizer"}) {
    for (const int ranks : {2, 3, 4}) {
      StageConfig c = run_config(concat(sharding, ranks));
      c.sharding = sharding;
      const TrainingSummary summary = run_on_thread_ranks(c, ranks);
      EXPECT_EQ(summary.steps, 20);
      expect_the_same_run(c, alone);
    }
  }
}

TEST_F(DistributedTrainer, ResumesBitForBitOnTheSameRanks) {
  for (const bool muon : {false, true}) {
    StageConfig whole = run_config(concat("whole", muon));
    whole.muon.enabled = muon;
    const TrainingSummary expected = run_on_thread_ranks(whole, 4);
    StageConfig part = whole;
    part.output = (folder_ / concat("part", muon)).string();
    part.checkpoint_steps = 7;
    part.checkpoints_kept = 9;
    run_on_thread_ranks(part, 4);
    forget_after(part, 7);
    const TrainingSummary resumed = run_on_thread_ranks(part, 4);
    EXPECT_EQ(resumed.tokens, expected.tokens);
    const auto got = weights(resumed.bundle), wanted = weights(expected.bundle);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], wanted[i])) << i;
    EXPECT_EQ(numbers(part, "loss"), numbers(whole, "loss"));
    EXPECT_EQ(numbers(part, "gradient_norm"), numbers(whole, "gradient_norm"));
  }
}

TEST_F(DistributedTrainer, ResumesOnAnotherNumberOfRanks) {
  const StageConfig whole = run_config("whole");
  run_on_thread_ranks(whole, 1);
  StageConfig part = run_config("part");
  part.checkpoint_steps = 8;
  part.checkpoints_kept = 9;
  run_on_thread_ranks(part, 4);
  forget_after(part, 8);
  run_on_thread_ranks(part, 2);
  expect_the_same_run(part, whole);
}

TEST_F(DistributedTrainer, MoreRanksThanMicroBatchesAreRefused) {
  try {
    run_on_thread_ranks(run_config("many"), 5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("4 micro-batches"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "many" / "metrics.jsonl"));
}

}  // namespace
}  // namespace omni::training
