// What is said of a recipe for more memory than there is.
#include "memory_fit.h"

#include <gmock/gmock.h>

#include "caption_world.h"
#include "dry_run.h"
#include "memory_advice.h"
#include "omni/core/error.h"
#include "omni/core/system_info.h"
#include "omni/training/trainer.h"

namespace omni::training {
namespace {

using testing::HasSubstr;

// Weights and gradients of 4 bytes, which full sharding divides, moments of 8 that any does; activations of 1 a token, half of that
// recomputed; documents of two tokens.
const NeededMemory toy = {
    .kept =
        [](const StageConfig& c, int ranks) {
          return (c.sharding == "full" ? 4.0 / ranks : 4.0) + (c.sharding == "none" ? 8.0 : 8.0 / ranks);
        },
    .activations =
        [](const StageConfig& c) {
          return (c.recompute ? 0.5 : 1.0) * static_cast<double>(c.tokens_per_micro_batch);
        },
    .fewest_tokens = 2};

StageConfig toy_config() {
  StageConfig c;
  c.tokens_per_step = 64;
  c.tokens_per_micro_batch = 16;
  c.sharding = "none";
  return c;
}

TEST(SmallestFittingChange, IsTheFirstThatIsEnough) {
  const auto change = [](int ranks, int most, double there) {
    const auto found = smallest_fitting_change(toy_config(), ranks, most, there, toy);
    return found ? concat(found->what, " = ", found->bytes) : std::string("none");
  };
  // 28 bytes on one rank.
  EXPECT_EQ(change(1, 1, 27), "--set tokens_per_micro_batch=8 = 20");
  EXPECT_EQ(change(1, 1, 17), "--set tokens_per_micro_batch=4 = 16");
  EXPECT_EQ(change(1, 1, 14), "--set tokens_per_micro_batch=2 = 14");
  EXPECT_EQ(change(1, 1, 13), "--set recompute=true --set tokens_per_micro_batch=2 = 13");
  EXPECT_EQ(change(1, 1, 12.5), "none");
  EXPECT_EQ(change(2, 2, 27), "--set sharding=optimizer = 24");
  EXPECT_EQ(change(1, 64, 12), "2 ranks --set sharding=optimizer --set tokens_per_micro_batch=4 = 12");
  EXPECT_EQ(change(2, 2, 8.5), "--set sharding=full --set tokens_per_micro_batch=4 = 8");
  EXPECT_EQ(change(1, 2, 4), "none");
  StageConfig muon = toy_config();
  muon.muon.enabled = true;
  EXPECT_FALSE(smallest_fitting_change(muon, 2, 2, 8.5, toy).has_value());
}

// There must be a micro-batch for each rank.
TEST(SmallestFittingChange, TakesNoMoreRanksThanAStepHasMicroBatches) {
  StageConfig c = toy_config();
  c.tokens_per_step = 16;  // one of 16 tokens, two of 8, up to eight of 2
  const auto found = smallest_fitting_change(c, 1, 64, 6, toy);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->what, "4 ranks --set sharding=full --set tokens_per_micro_batch=4");
}

class MemoryFit : public CaptionWorld {};

// More weights than any machine holds: nothing is allocated, and the run says so before anything is written.
TEST_F(MemoryFit, ARunThatCannotFitIsRefusedBeforeItBegins) {
  StageConfig c = config("run");
  c.model.width = 1 << 15;
  c.model.single_blocks = 128;
  ASSERT_GT(estimated_memory(c, 1).sum(), static_cast<double>(memory_bytes()));
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
    EXPECT_THAT(error.what(), HasSubstr(concat("training '", c.output, "': each rank keeps about ")));
    EXPECT_THAT(error.what(), HasSubstr("make the model smaller"));
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(c.output) / "config.yaml"));
}

// A data set refuses a smaller micro-batch than the longest document, and takes one of just that size.
TEST_F(MemoryFit, MicroBatchesAreNoSmallerThanTheLongestDocument) {
  StageConfig c = config("run");
  c.text_capacity = 100;
  const std::int64_t fewest = estimated_needs(c).fewest_tokens;
  EXPECT_GT(fewest, 100);
  const auto dry_run_with = [&](std::int64_t tokens) {
    c.tokens_per_micro_batch = c.tokens_per_step = tokens;
    testing::internal::CaptureStdout();
    std::string refusal;
    try {
      run_stage(c, {.dry_run = true});
    } catch (const Error& error) {
      refusal = error.what();
    }
    testing::internal::GetCapturedStdout();
    return refusal;
  };
  EXPECT_EQ(dry_run_with(fewest), "");
  EXPECT_THAT(dry_run_with(fewest - 1), HasSubstr(concat("one document takes up to ", fewest, " tokens")));
  c.text_capacity = 4;  // shorter than what a config takes
  EXPECT_EQ(estimated_needs(c).fewest_tokens, 64);
}

// More micro-batches than memory could hold: one is looked at, for they are equal.
TEST_F(MemoryFit, TheEstimateIsThatOfOneMicroBatch) {
  StageConfig c = config("run");
  const double one = estimated_memory(c, 1).activations;
  EXPECT_GT(one, 0);
  c.tokens_per_step = std::int64_t{1} << 40;
  EXPECT_EQ(estimated_memory(c, 1).activations, one);
}

// A graph keeps what passes without it take again; what is advised then is what the config takes beside it.
TEST_F(MemoryFit, AGraphTakesItsActivationsBesideThoseOfPlainPasses) {
  StageConfig c = config("run");
  c.tokens_per_micro_batch = c.tokens_per_step = 256;
  const MemoryParts plain = estimated_memory(c, 1);
  c.cuda_graphs = true;
  const MemoryParts graphed = estimated_memory(c, 1);
  EXPECT_EQ(graphed.activations, 2 * plain.activations);
  EXPECT_EQ(graphed.weights, plain.weights);
  EXPECT_THAT(passes_advice(c, 1, 3).change, HasSubstr("cuda_graphs: false"));
  c.cuda_graphs = false;
  EXPECT_THAT(passes_advice(c, 1, 3).change, testing::Not(HasSubstr("cuda_graphs")));
  c.cuda_graphs = true;
  const NeededMemory needed{
      .kept = [](const StageConfig&, int) { return 0.0; },
      .activations = [](const StageConfig& changed) { return changed.cuda_graphs ? 2.0 : 1.0; }};
  const auto change = smallest_fitting_change(c, 1, 1, 1, needed);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->what, "--set cuda_graphs=false");
}

// The change that a dry run names fits when it is made.
TEST_F(MemoryFit, ADryRunNamesTheSmallestChangeThatFits) {
  StageConfig c = config("run");
  c.tokens_per_step = 4096;
  c.tokens_per_micro_batch = 2048;
  const double whole = estimated_memory(c, 1).sum();
  StageConfig half = c;
  half.tokens_per_micro_batch = 1024;
  const double enough = estimated_memory(half, 1).sum();
  ASSERT_LT(enough, whole);
  testing::internal::CaptureStdout();
  run_stage(c, {.dry_run = true, .device_memory_gb = 1.0001 * enough / 1e9});
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              HasSubstr("# the smallest change that fits: --set tokens_per_micro_batch=1024 ("));
}

}  // namespace
}  // namespace omni::training
