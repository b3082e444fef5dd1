#include "stage_validation.h"

#include <gmock/gmock.h>

#include "caption_world.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "stage_start.h"

namespace omni::training {
namespace {

const std::vector<std::string> kHeldOut = {"a yellow duck under a tree", "seven old books"};

class StageValidationTest : public CaptionWorld {
 protected:
  StageConfig validated(const std::string& output) {
    if (!std::filesystem::exists(folder_.path() / "both"))
      write_shard("both", tokenizers::TextTokenizer::load(folder_ / "text.json").fingerprint(),
                  {"a red ball", "a blue cube", "a tall green tower"}, kHeldOut);
    StageConfig c = config(output);
    c.shards = {(folder_ / "both").string()};
    c.validation_steps = 4;
    c.validation_batches = 3;
    return c;
  }
  // The lines of validation, and the rest.
  std::array<std::vector<nlohmann::json>, 2> lines_of(const std::string& output) const {
    std::array<std::vector<nlohmann::json>, 2> lines;
    for (const auto& line : test::metric_lines(folder_.path() / output / "metrics.jsonl"))
      lines[line.contains("validation_loss") ? 0 : 1].push_back(line);
    return lines;
  }
};

// Against the mean of the model's own log-probabilities over every token, of sequences that hold nothing but the
// held-out captions.
TEST_F(StageValidationTest, IsTheLossOfHeldOutSequences) {
  StageConfig c = validated("run");
  c.softmax = "full";
  const model::Bundle bundle = start_bundle(c);
  const StageData data(c, bundle);
  double sum = 0, count = 0;
  for (std::int64_t i = 0; i < c.validation_batches; ++i) {
    const sequence::PackedSequence batch = data.measured_batch(*data.validation_source(), i);
    const at::Tensor log_probabilities = at::log_softmax(bundle.transformer->logits(batch), 1);
    for (std::int64_t position = 0; position < batch.length(); ++position) {
      const auto at_position = static_cast<std::size_t>(position);
      const float weight = batch.loss_weights[at_position];
      if (weight <= 0) continue;
      sum -= weight * log_probabilities[position][batch.targets[at_position]].item<double>();
      count += weight;
    }
  }
  ASSERT_GT(count, 0);
  for (const int ranks : {1, 2, 4}) {
    test::run_thread_ranks(ranks, [&](distributed::Collectives& collectives) {
      const ValidationLosses losses =
          StageValidation(data, *data.validation_source(), c.validation_batches, {1, 1, 1})
              .measure(*bundle.transformer, collectives, at::kCPU);
      EXPECT_NEAR(losses.loss, sum / count, 1e-5 * sum / count) << ranks;
      const auto numbers = losses.numbers("validation_");
      ASSERT_EQ(numbers.size(), 2u);
      EXPECT_EQ(numbers[0].first, "validation_loss_text");
      EXPECT_EQ(numbers[1].first, "validation_loss captions");
      EXPECT_NEAR(numbers[1].second, losses.loss, 1e-12);
    });
  }
}

// Weights and lines of steps are those of a run that never looks: nothing that validation does is left behind.
TEST_F(StageValidationTest, LeavesTheRunAsItWas) {
  for (const char* precision : {"fp32", "bf16"}) {
    StageConfig with = validated(concat("with", precision)), without = with;
    with.precision = without.precision = precision;
    without.output = (folder_ / concat("without", precision)).string();
    without.validation_steps = 0;
    const TrainingSummary a = run_stage(with, {}), b = run_stage(without, {});
    EXPECT_EQ(read_file_bytes(a.bundle / "model.safetensors"),
              read_file_bytes(b.bundle / "model.safetensors"));
    const auto [validation, steps] = lines_of(concat("with", precision));
    const auto expected = lines_of(concat("without", precision));
    ASSERT_EQ(validation.size(), 3u);
    EXPECT_EQ(validation[1].at("step"), 8);
    EXPECT_TRUE(expected[0].empty());
    ASSERT_EQ(steps.size(), expected[1].size());
    for (std::size_t i = 0; i < steps.size(); ++i)
      EXPECT_EQ(steps[i].at("loss"), expected[1][i].at("loss")) << i;
  }
}

// Learning three captions by heart makes others less likely: the lowest loss comes early, its checkpoint outlives
// newer ones, and a resumed run knows it and repeats the lines.
TEST_F(StageValidationTest, KeepsTheBestCheckpoint) {
  StageConfig c = validated("run");
  c.steps = 60;
  c.keep_best = true;
  c.checkpoint_steps = 10;
  c.checkpoints_kept = 2;
  run_stage(c, {});
  const auto lines = lines_of("run");
  ASSERT_EQ(lines[0].size(), 15u);
  const auto lowest = std::ranges::min_element(
      lines[0], {}, [](const nlohmann::json& line) { return line.at("validation_loss").get<double>(); });
  const auto best = lowest->at("step").get<std::int64_t>();
  ASSERT_LT(best, 40) << "the world has to be one that can be learnt too well";
  EXPECT_THAT(saved_steps(c), testing::ElementsAre(best, 50, 60));
  EXPECT_TRUE(checkpoint::damage_of(
                  checkpoint::checkpoint_path(std::filesystem::path(c.output) / "checkpoints", best))
                  .empty());

  forget_after(c, 50);
  run_stage(c, {.run = {.resume = Resume::yes, .allowed_changes = {}}});
  EXPECT_THAT(saved_steps(c), testing::ElementsAre(best, 50, 60));
  EXPECT_EQ(lines_of("run")[0], lines[0]);
}

// The ranks measure between two steps, while they already send what the next one needs.
TEST_F(StageValidationTest, IsTheSameOnAnyNumberOfRanks) {
  const auto losses = [&](int ranks) {
    StageConfig c = validated(concat("ranks", ranks));
    c.tokens_per_step = 256;
    c.keep_best = true;
    run_on_thread_ranks(c, ranks);
    std::vector<double> found;
    const auto lines = lines_of(concat("ranks", ranks));
    for (const nlohmann::json& line : lines[0]) found.push_back(line.at("validation_loss"));
    return found;
  };
  const std::vector<double> alone = losses(1);
  ASSERT_EQ(alone.size(), 3u);
  for (const int ranks : {2, 3}) {
    const std::vector<double> together = losses(ranks);
    ASSERT_EQ(together.size(), 3u);
    for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(together[i] / alone[i], 1, 1e-4) << ranks;
  }
}

TEST_F(StageValidationTest, NeedsHeldOutObjects) {
  StageConfig c = validated("run");
  c.validation_split = "unseen_colour";
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("no object of the split \"unseen_colour\""),
                                             testing::HasSubstr("validation_split")));
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(c.output) / "checkpoints"));
}

}  // namespace
}  // namespace omni::training
