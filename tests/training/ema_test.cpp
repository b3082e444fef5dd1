// The average of the weights: in a run, its checkpoints, its bundle and what is exported.
#include <gmock/gmock.h>

#include "caption_world.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "stage_start.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Ema : public CaptionWorld {
 protected:
  StageConfig averaged(const std::string& name) const {
    StageConfig c = config(name);
    c.ema.decay = 0.7;
    c.checkpoint_steps = 1;
    c.checkpoints_kept = 100;
    return c;
  }
  static void expect_equal(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].equal(expected[i])) << i;
  }
  static std::vector<at::Tensor> values(const model::Bundle& bundle) {
    std::vector<at::Tensor> all;
    for (const nn::Parameter& parameter : bundle.transformer->parameters().all())
      all.push_back(parameter.value.detach().clone());
    return all;
  }
  static fs::path checkpoint_of(const StageConfig& c, int step) {
    return checkpoint::checkpoint_path(fs::path(c.output) / "checkpoints", step);
  }
};

TEST_F(Ema, LeavesTheRunAsItIs) {
  StageConfig plain = config("plain"), with = averaged("with");
  run_stage(plain, {});
  run_stage(with, {});
  expect_equal(weights(fs::path(with.output) / "bundle"), weights(fs::path(plain.output) / "bundle"));
  EXPECT_EQ(timeless_metrics("plain"), timeless_metrics("with"));
}

TEST_F(Ema, IsTheFormulaOverTheWeightsOfEveryStep) {
  StageConfig c = averaged("run");
  c.ema.bundle = true;
  run_stage(c, {});
  std::vector<at::Tensor> expected = values(start_bundle(c));
  for (at::Tensor& value : expected) value = value.to(at::kDouble);
  for (int step = 1; step <= 12; ++step) {
    const std::vector<at::Tensor> now = values(model::load_bundle(checkpoint_of(c, step)));
    const double kept = std::min(0.7, (1.0 + step) / (10.0 + step));
    for (std::size_t i = 0; i < now.size(); ++i) expected[i] = kept * expected[i] + (1 - kept) * now[i];
  }
  const std::vector<at::Tensor> got = weights(fs::path(c.output) / "bundle");
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_TRUE(at::allclose(got[i].to(at::kDouble), expected[i], 1e-5, 1e-6)) << i;
  // What is exported from the last checkpoint is the same, and another one than its weights.
  EXPECT_FALSE(values(model::load_bundle(checkpoint_of(c, 12)))[0].equal(got[0]));
  expect_equal(values(model::load_averaged_bundle(checkpoint_of(c, 12))), got);
}

TEST_F(Ema, ResumesBitForBit) {
  for (const std::int64_t ranks : {1, 2}) {
    StageConfig whole = averaged(concat("whole", ranks)), part = averaged(concat("part", ranks));
    whole.ema.bundle = part.ema.bundle = true;
    whole.precision = part.precision = "bf16";
    const TrainingSummary expected = run_on_thread_ranks(whole, static_cast<int>(ranks));
    run_on_thread_ranks(part, static_cast<int>(ranks));
    forget_after(part, 5);
    const TrainingSummary resumed = run_on_thread_ranks(part, static_cast<int>(ranks));
    expect_equal(weights(resumed.bundle), weights(expected.bundle));
  }
}

// Another number of ranks goes on with it.
TEST_F(Ema, ResumesOnAnotherNumberOfRanks) {
  StageConfig whole = averaged("whole"), part = averaged("part");
  whole.ema.bundle = part.ema.bundle = true;
  const TrainingSummary expected = run_on_thread_ranks(whole, 1);
  run_on_thread_ranks(part, 2);
  forget_after(part, 5);
  const auto got = weights(run_on_thread_ranks(part, 1).bundle), wanted = weights(expected.bundle);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::allclose(got[i], wanted[i], 1e-3, 1e-5)) << i;
}

// Weights and losses are those of a run without samples, though the average stands in for them meanwhile.
TEST_F(Ema, SamplesAreMadeWithItAndLeaveTheWeights) {
  StageConfig without = averaged("without"), with = averaged("with"), last = averaged("last");
  for (StageConfig* c : {&with, &last}) {
    c->sample_steps = 6;
    c->samples = 1;
  }
  last.ema.samples = false;
  const TrainingSummary expected = run_on_thread_ranks(without, 2);
  expect_equal(weights(run_on_thread_ranks(with, 2).bundle), weights(expected.bundle));
  EXPECT_EQ(read_file_text(fs::path(with.output) / "samples" / "step-00000012" / "samples.json").empty(),
            false);
  expect_equal(weights(run_on_thread_ranks(last, 2).bundle), weights(expected.bundle));
}

TEST_F(Ema, LossesOfEarlierTasksAreThoseOfTheBundleThatIsLeft) {
  StageConfig weights_left = averaged("weights"), average_left = averaged("average");
  average_left.ema.bundle = true;
  for (StageConfig* c : {&weights_left, &average_left}) c->earlier_tasks = {"captions"};
  const TrainingSummary first = run_stage(weights_left, {}), second = run_stage(average_left, {});
  ASSERT_EQ(first.earlier_losses.size(), 1u);
  ASSERT_EQ(second.earlier_losses.size(), 1u);
  EXPECT_EQ(first.earlier_losses[0].before, second.earlier_losses[0].before);
  EXPECT_NE(first.earlier_losses[0].after, second.earlier_losses[0].after);
  // An average lags behind where losses fall.
  EXPECT_GT(second.earlier_losses[0].after, first.earlier_losses[0].after);
}

TEST_F(Ema, CanBeginInARunThatHadNone) {
  StageConfig c = averaged("run");
  c.ema.decay = 0;
  c.steps = 6;
  run_stage(c, {});
  try {
    (void)model::load_averaged_bundle(checkpoint_of(c, 6));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("ema.decay"));
  }
  c.steps = 12;
  c.ema.decay = 0.7;
  EXPECT_THROW(run_stage(c, {.run = {.resume = Resume::yes}}), Error);
  run_stage(c, {.run = {.resume = Resume::yes, .allowed_changes = {"ema"}}});
  EXPECT_NO_THROW((void)model::load_averaged_bundle(checkpoint_of(c, 12)));
}

}  // namespace
}  // namespace omni::training
