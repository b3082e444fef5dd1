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
    c.model.single_blocks = 3;
    return c;
  }

  static std::vector<double> numbers(const StageConfig& c, const char* key) {
    std::vector<double> values;
    for (const auto& line : test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl"))
      values.push_back(line.at(key));
    return values;
  }

  static std::vector<double> gathered_gigabytes(const StageConfig& c) {
    std::vector<double> values;
    for (const auto& line : test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl"))
      if (line.contains("memory_gb gathered blocks")) values.push_back(line.at("memory_gb gathered blocks"));
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
  for (const char* sharding : {"none", "optimizer", "full"}) {
    for (const int ranks : {2, 3, 4}) {
      StageConfig c = run_config(concat(sharding, ranks));
      c.sharding = sharding;
      const TrainingSummary summary = run_on_thread_ranks(c, ranks);
      EXPECT_EQ(summary.steps, 20);
      expect_the_same_run(c, alone);
    }
  }
}

// A micro-batch on each rank: the gradients are sums of the same parts in the same order.
TEST_F(DistributedTrainer, FullShardingTakesTheSameStepsToTheBit) {
  for (const char* precision : {"fp32", "bf16"}) {
    StageConfig shared = run_config(concat("shared ", precision));
    shared.precision = precision;
    shared.recompute = true;
    shared.ema.decay = 0.9;
    shared.ema.bundle = true;
    StageConfig full = shared;
    full.output = (folder_ / concat("full ", precision)).string();
    full.sharding = "full";
    full.recompute = false;  // implied
    const auto expected = weights(run_on_thread_ranks(shared, 4).bundle),
               got = weights(run_on_thread_ranks(full, 4).bundle);
    EXPECT_EQ(numbers(full, "loss"), numbers(shared, "loss"));
    EXPECT_EQ(numbers(full, "gradient_norm"), numbers(shared, "gradient_norm"));
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], expected[i])) << i;
  }
}

// Frozen blocks stay whole; where all of them are, nothing is gathered.
TEST_F(DistributedTrainer, FullShardingLeavesFrozenBlocksAsTheyAre) {
  for (const char* frozen : {"single_blocks.1.*", "single_blocks.*"}) {
    StageConfig shared = run_config(concat("shared ", frozen[14]));
    shared.steps = 6;
    shared.freeze = {frozen};
    shared.recompute = true;
    StageConfig full = shared;
    full.output = (folder_ / concat("full ", frozen[14])).string();
    full.sharding = "full";
    const auto expected = weights(run_on_thread_ranks(shared, 4).bundle),
               got = weights(run_on_thread_ranks(full, 4).bundle);
    EXPECT_EQ(numbers(full, "loss"), numbers(shared, "loss")) << frozen;
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], expected[i])) << frozen << i;
  }
}

// Held-out sequences of which one rank has more than the other, and samples that rank 0 makes alone.
TEST_F(DistributedTrainer, FullShardingIsValidatedAndSampledFrom) {
  write_shard("shards", tokenizers::TextTokenizer::load(folder_ / "text.json").fingerprint(),
              {"a red ball", "a blue cube"}, {"a tall green tower", "two small cups"});
  StageConfig shared = run_config("shared");
  shared.steps = 6;
  shared.validation_steps = 3;
  shared.validation_batches = 3;
  shared.sample_steps = 3;
  shared.samples = 2;
  StageConfig full = shared;
  full.output = (folder_ / "full").string();
  full.sharding = "full";
  run_on_thread_ranks(shared, 2);
  run_on_thread_ranks(full, 2);
  // Rank 0 has all blocks while it samples, which no step does.
  const std::vector<double> gathered = gathered_gigabytes(full);
  ASSERT_EQ(gathered.size(), 6u);
  EXPECT_EQ(gathered.back(), gathered.front());
  const auto validated = [](const StageConfig& c) {
    std::vector<double> losses;
    for (const auto& line : test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl"))
      if (line.contains("validation_loss")) losses.push_back(line.at("validation_loss"));
    return losses;
  };
  const std::vector<double> got = validated(full), expected = validated(shared);
  ASSERT_EQ(got.size(), 2u);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i] / expected[i], 1, 1e-4) << i;
  for (const char* step : {"step-00000003", "step-00000006"})
    EXPECT_EQ(read_file_bytes(std::filesystem::path(full.output) / "samples" / step / "01.txt"),
              read_file_bytes(std::filesystem::path(shared.output) / "samples" / step / "01.txt"));
}

TEST_F(DistributedTrainer, ResumesBitForBitOnTheSameRanks) {
  const std::pair<const char*, bool> kinds[] = {{"optimizer", false}, {"optimizer", true}, {"full", false}};
  for (const auto& [sharding, muon] : kinds) {
    StageConfig whole = run_config(concat("whole", sharding, muon));
    whole.sharding = sharding;
    whole.muon.enabled = muon;
    const TrainingSummary expected = run_on_thread_ranks(whole, 4);
    StageConfig part = whole;
    part.output = (folder_ / concat("part", sharding, muon)).string();
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

TEST_F(DistributedTrainer, ResumesWithAnotherSharding) {
  const StageConfig whole = run_config("whole");
  run_on_thread_ranks(whole, 1);
  for (const auto& [before, after] : {std::pair{"full", "optimizer"}, {"none", "full"}}) {
    StageConfig part = run_config(concat(before, after));
    part.sharding = before;
    part.checkpoint_steps = 8;
    part.checkpoints_kept = 9;
    run_on_thread_ranks(part, 3);
    forget_after(part, 8);
    part.sharding = after;
    run_on_thread_ranks(part, 4);
    expect_the_same_run(part, whole);
  }
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
