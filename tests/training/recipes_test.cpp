// The recipes at real sizes, with everything that they say but their width, files and device, so that no key of
// them rots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "metric_lines.h"
#include "omni/core/error.h"
#include "omni/training/stage.h"
#include "omni/training/trainer.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

const fs::path kConfigs = fs::path(OMNI_SOURCE_DIR) / "configs";
const fs::path kTokenizers = fs::path(OMNI_SOURCE_DIR) / "models" / "tiny";

class RecipesSlow : public testing::TestWithParam<std::string> {
 protected:
  fs::path output(const std::string& stage) const { return folder_.path() / stage; }

  StageConfig reduced(const std::string& stage, const std::string& before) const {
    std::vector<std::string> settings = {
        "output=" + output(stage).string(),
        "shards=[" + (fs::path(OMNI_TEST_FIXTURES) / "golden" / "tokens").string() + "]",
        "steps=3",
        "tokens_per_step=2048",
        "tokens_per_micro_batch=1024",
        "device=cpu",
        "log_steps=1",
        "sample_steps=3",
        "samples=4",
        "checkpoint_keep_every=0",
        "validation_batches=16",
        "view_rows_steps=" + std::string(stage == "continue" ? "1" : "0")};
    if (before.empty()) {
      settings.insert(settings.end(), {"model.width=48", "model.heads=2", "text_capacity=40",
                                       "tokenizers.text=" + (kTokenizers / "text_tokenizer.json").string(),
                                       "tokenizers.image=" + (kTokenizers / "image_tokenizer").string(),
                                       "tokenizers.shape=" + (kTokenizers / "shape_tokenizer").string()});
      if (GetParam() == "omni123") settings.push_back("model.mlp_hidden=64");
    } else {
      settings.push_back("start_bundle=" + (output(before) / "bundle").string());
    }
    return load_stage_config(kConfigs / GetParam() / (stage + ".yaml"), stage, settings);
  }

  test::TemporaryDirectory folder_;
};
INSTANTIATE_TEST_SUITE_P(Sizes, RecipesSlow, testing::Values("small", "base", "omni123"),
                         [](const auto& info) { return info.param; });

TEST_P(RecipesSlow, TakesThreeStepsOfEachStage) {
  std::string before;
  for (const Stage& stage : stages()) {
    const std::string name(stage.name);
    SCOPED_TRACE(name);
    const StageConfig c = reduced(name, before);
    EXPECT_EQ(c.schedule.shape, "warmup_stable_decay");
    EXPECT_GT(c.ema.decay, 0);
    const TrainingSummary summary = run_stage(c, {});
    EXPECT_EQ(summary.steps, 3);
    EXPECT_TRUE(fs::exists(summary.bundle / "model.safetensors"));
    // What stage 1 has learnt is measured around each later stage.
    EXPECT_EQ(summary.earlier_losses.size(), stage.starts_fresh ? 0 : c.earlier_tasks.size());
    for (const EarlierLoss& task : summary.earlier_losses) {
      EXPECT_TRUE(std::isfinite(task.before) && std::isfinite(task.after)) << task.task;
      EXPECT_NE(task.before, task.after) << task.task;
    }
    if (!stage.starts_fresh) {
      const auto lines = test::metric_lines(fs::path(c.output) / "metrics.jsonl");
      EXPECT_TRUE(lines.back().contains("earlier_loss " + c.earlier_tasks.front()));
    }
    before = name;
  }
}

// The published numbers of pairs, in millions, whichever way round they are read.
TEST_P(RecipesSlow, PairsHaveThePublishedShares) {
  const StageConfig c = load_stage_config(kConfigs / GetParam() / "pretrain.yaml", "pretrain", {});
  std::map<std::string, double> pairs;
  for (const auto& [task, weight] : c.mixture) {
    const std::string modalities[] = {"text", "image", "shape"};
    std::string pair;
    for (const std::string& modality : modalities)
      if (task.find(modality) != std::string::npos) pair += (pair.empty() ? "" : "-") + modality;
    pairs[pair] += weight;
  }
  EXPECT_EQ(pairs.size(), 3u);
  EXPECT_NEAR(pairs["text-image"], 63.7, 1e-9);
  EXPECT_NEAR(pairs["image-shape"], 120, 1e-9);
  EXPECT_NEAR(pairs["text-shape"], 9, 1e-9);
}

// The model that the recipe makes is the one that configs/model tells the sizes of.
TEST(PublishedRecipeSlow, BlocksOfThePublishedSystem) {
  const StageConfig c = load_stage_config(kConfigs / "omni123" / "pretrain.yaml", "pretrain", {});
  EXPECT_EQ(c.model.dual_blocks, 24);
  EXPECT_EQ(c.model.single_blocks, 6);
  EXPECT_EQ(c.model.single_over, "generated");
}

}  // namespace
}  // namespace omni::training
