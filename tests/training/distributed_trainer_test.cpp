// Whole runs on several ranks, which are threads here, against runs on one.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>

#include "caption_world.h"
#include "omni/core/error.h"
#include "run_output.h"
#include "stage_run.h"
#include "thread_ranks.h"

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

  // Goes on from the newest checkpoint, if there is one.
  TrainingSummary train(const StageConfig& c, int ranks) const {
    std::optional<checkpoint::CheckpointReader> resumed;
    if (const auto folder = resumed_checkpoint(c, Resume::automatic)) resumed.emplace(*folder);
    TrainingSummary summary;
    test::ThreadTexts texts;
    test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
      at::set_num_threads(1);
      test::ThreadRanks own(collectives, texts);
      StageRun run(c, resumed, {}, own, at::kCPU);
      run.begin(resumed);
      const TrainingSummary mine = run.run();
      if (collectives.rank() == 0) summary = mine;
    });
    return summary;
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
  train(alone, 1);
  for (const char* sharding : {"none", "optimizer"}) {
    for (const int ranks : {2, 3, 4}) {
      StageConfig c = run_config(concat(sharding, ranks));
      c.sharding = sharding;
      const TrainingSummary summary = train(c, ranks);
      EXPECT_EQ(summary.steps, 20);
      expect_the_same_run(c, alone);
    }
  }
}

TEST_F(DistributedTrainer, ResumesBitForBitOnTheSameRanks) {
  for (const bool muon : {false, true}) {
    StageConfig whole = run_config(concat("whole", muon));
    whole.muon.enabled = muon;
    const TrainingSummary expected = train(whole, 4);
    StageConfig part = whole;
    part.output = (folder_ / concat("part", muon)).string();
    part.checkpoint_steps = 7;
    part.checkpoints_kept = 9;
    train(part, 4);
    forget_after(part, 7);
    const TrainingSummary resumed = train(part, 4);
    EXPECT_EQ(resumed.tokens, expected.tokens);
    const auto got = weights(resumed.bundle), wanted = weights(expected.bundle);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], wanted[i])) << i;
    EXPECT_EQ(numbers(part, "loss"), numbers(whole, "loss"));
    EXPECT_EQ(numbers(part, "gradient_norm"), numbers(whole, "gradient_norm"));
  }
}

TEST_F(DistributedTrainer, ResumesOnAnotherNumberOfRanks) {
  const StageConfig whole = run_config("whole");
  train(whole, 1);
  StageConfig part = run_config("part");
  part.checkpoint_steps = 8;
  part.checkpoints_kept = 9;
  train(part, 4);
  forget_after(part, 8);
  train(part, 2);
  expect_the_same_run(part, whole);
}

TEST_F(DistributedTrainer, MoreRanksThanMicroBatchesAreRefused) {
  try {
    train(run_config("many"), 5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("4 micro-batches"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "many" / "metrics.jsonl"));
}

}  // namespace
}  // namespace omni::training
