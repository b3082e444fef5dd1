// What a dry run says, against runs and closed forms.
#include "dry_run.h"

#include <gmock/gmock.h>

#include "caption_world.h"
#include "omni/core/error.h"
#include "omni/core/text_format.h"
#include "omni/kernels/cuda_plugin.h"
#include "omni/model/training_cost.h"
#include "omni/training/trainer.h"
#include "stage_data.h"
#include "stage_start.h"

namespace omni::training {
namespace {

class DryRunTest : public CaptionWorld {
 protected:
  static std::string printed(const StageConfig& c, int ranks, double device_memory_gb) {
    testing::internal::CaptureStdout();
    run_stage(c, {.dry_run = true, .ranks = ranks, .device_memory_gb = device_memory_gb});
    return testing::internal::GetCapturedStdout();
  }

  StageConfig later(const std::string& stage, const std::filesystem::path& start) const {
    StageConfig c = config(stage);
    c.stage = stage;
    c.start_bundle = start.string();
    c.tokenizers = {};
    c.text_capacity = 0;
    return c;
  }
};

// As large as the run's model, without a byte of it.
TEST_F(DryRunTest, ALaterStageIsEstimatedWithoutWeights) {
  const model::Bundle first = start_bundle(config("first"));
  model::save_bundle(first, folder_ / "first");
  const StageConfig next = later("continue", folder_ / "first");  // whose vocabulary grows
  const model::Bundle estimated = estimated_bundle(next), made = start_bundle(next);
  const auto &expected = made.transformer->parameters().all(),
             &got = estimated.transformer->parameters().all();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, expected[i].name);
    EXPECT_EQ(got[i].value.sizes(), expected[i].value.sizes()) << got[i].name;
    EXPECT_TRUE(got[i].value.is_meta()) << got[i].name;
  }
  EXPECT_EQ(estimated.vocabulary().fingerprint(), made.vocabulary().fingerprint());
  model::save_bundle(made, folder_ / "second");
  const double millions = static_cast<double>(made.transformer->parameters().element_count()) / 1e6;
  for (const StageConfig& c : {next, later("finetune", folder_ / "second")})
    EXPECT_THAT(printed(c, 1, 0),
                testing::HasSubstr(concat("# parameters: ", with_decimals(millions, 3), " ")));
}

TEST_F(DryRunTest, FindsABundleWhoseWeightsAreTornOff) {
  model::save_bundle(start_bundle(config("first")), folder_ / "first");
  std::filesystem::resize_file(folder_ / "first/model.safetensors", 100);
  EXPECT_THROW(estimated_bundle(later("continue", folder_ / "first")), Error);
}

// With AdamW in fp32 each parameter takes four bytes of weight and of gradient and eight of moments, those
// divided among the ranks; a leaf is followed by a gap of less than its alignment, and what is divided by one of
// less than that for each rank.
TEST_F(DryRunTest, SaysWhetherEachRanksDeviceHoldsIt) {
  StageConfig c = config("run");
  c.tokens_per_step = 256;  // four micro-batches
  c.model.width = 256;      // beside which gaps are small
  const model::Bundle bundle = start_bundle(c);
  double bytes = 0, gaps = 0, activations = 0;
  for (const nn::Parameter& parameter : bundle.transformer->parameters().all()) {
    bytes += static_cast<double>(parameter.value.nbytes());
    gaps += nn::kLeafAlignmentBytes;
  }
  for (const sequence::PackedSequence& batch : StageData(c, bundle).step(0))
    activations = std::max(activations, model::activation_bytes(*bundle.transformer, batch, false));
  for (const int ranks : {1, 4}) {
    const double copies = 2 + 2.0 / ranks;
    EXPECT_THAT(printed(c, ranks, 0.999 * (copies * bytes + activations) / 1e9),
                testing::HasSubstr("does not fit"));
    EXPECT_THAT(printed(c, ranks, (copies * (bytes + ranks * gaps) + activations) / 1e9),
                testing::ContainsRegex("each rank on its device: .*: it fits"));
  }
  c.device = "cuda";  // which need not be here
  EXPECT_THAT(printed(c, 4, 80), testing::ContainsRegex("of 80\\.000 GB: it fits"));
}

TEST_F(DryRunTest, EstimatesAStepOnGpusThatAreNotHere) {
  StageConfig c = config("run");
  c.tokens_per_step = 256;
  testing::internal::CaptureStdout();
  run_stage(c, {.dry_run = true, .ranks = 4, .gpu = "h100"});
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::HasSubstr("of 80.000 GB: it fits"));
  EXPECT_THAT(text, testing::ContainsRegex("# a step on 4 h100: about [0-9.]+ ms, at 40 % of the peak"));
  EXPECT_THAT(text,
              testing::ContainsRegex("# [0-9]+ tokens/s, [0-9.]+ % of the peak; 12 steps: [0-9.]+ days"));
}

// Of the blocks each rank keeps its share; what is gathered is told by itself.
TEST_F(DryRunTest, TellsOfFullSharding) {
  StageConfig c = config("run");
  c.tokens_per_step = 256;
  c.model.single_blocks = 12;
  const auto bytes = [&](const char* sharding) {
    c.sharding = sharding;
    return expected_memory(c, estimated_bundle(c), 4);
  };
  const MemoryParts shared = bytes("optimizer"), full = bytes("full");
  EXPECT_EQ(full.moments, shared.moments);
  EXPECT_EQ(shared.gathered, 0);
  const model::Bundle bundle = start_bundle(c);
  double block = 0, blocks = 0;
  for (const nn::Parameter& parameter : bundle.transformer->parameters().all()) {
    if (!parameter.name.starts_with("single_blocks.")) continue;
    blocks += static_cast<double>(parameter.value.nbytes());
    if (parameter.name.starts_with("single_blocks.0."))
      block += static_cast<double>(parameter.value.nbytes());
  }
  // But for gaps.
  EXPECT_NEAR((shared.weights - full.weights) / (0.75 * blocks), 1, 0.1);
  EXPECT_NEAR((shared.gradients - full.gradients) / (0.75 * blocks), 1, 0.1);
  EXPECT_NEAR(full.gathered / (4 * block), 1, 0.1);
  testing::internal::CaptureStdout();
  run_stage(c, {.dry_run = true, .ranks = 4, .gpu = "h100"});
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::HasSubstr("#   gathered blocks"));
  EXPECT_THAT(text, testing::ContainsRegex("#   weights +[0-9.]+ ms\n#   of both not hidden +[0-9.]+ ms\n"));
}

// More ranks lower what rank 0 keeps beside the blocks while it samples, and not what the whole model takes at the start.
TEST_F(DryRunTest, AdvisesOnTheWholeModelByWhatExceeds) {
  StageConfig c = config("run");
  c.tokens_per_step = 256;
  c.model.width = 256;
  c.model.single_blocks = 12;
  c.sharding = "full";
  c.sample_steps = 1;
  const std::string text = printed(c, 4, 1000);
  const auto gigabytes_after = [&](const std::string& what) {
    const std::size_t at = text.find(what);
    return at == std::string::npos ? 0.0 : std::stod(text.substr(at + what.size()));
  };
  const double starting = gigabytes_after("at the start and end: "),
               sampling = gigabytes_after("while rank 0 samples: ");
  ASSERT_GT(starting, 0.01);
  ASSERT_GT(sampling, starting + 0.005);
  EXPECT_THAT(printed(c, 4, starting + 0.002),
              testing::AllOf(testing::HasSubstr("set sample_steps: 0, or start more ranks"),
                             testing::Not(testing::HasSubstr("make it smaller"))));
  EXPECT_THAT(printed(c, 4, starting / 2),
              testing::AllOf(testing::HasSubstr("make it smaller"), testing::HasSubstr("rank 0 samples"),
                             testing::Not(testing::HasSubstr("start more ranks"))));
  c.sample_steps = 0;
  EXPECT_THAT(printed(c, 4, starting / 2), testing::Not(testing::HasSubstr("rank 0 samples")));
}

using DryRunGpu = DryRunTest;

TEST_F(DryRunGpu, SaysWhetherTheGpuThatIsHereHoldsIt) {
  if (!kernels::gpu_refusal().empty()) GTEST_SKIP() << kernels::gpu_refusal();
  StageConfig c = config("run");
  c.device = "cuda";
  EXPECT_THAT(printed(c, 1, 0),
              testing::ContainsRegex("its device: 0\\.0.* of [1-9][0-9]*\\.[0-9]+ GB: it fits"));
  c.model.width = 1 << 15;
  c.model.single_blocks = 64;
  EXPECT_THAT(printed(c, 1, 0), testing::HasSubstr("GB: it does not fit"));
}

}  // namespace
}  // namespace omni::training
