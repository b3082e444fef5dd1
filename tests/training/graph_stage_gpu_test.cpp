// A whole stage whose passes are replayed as a graph, against the same stage without.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "metric_lines.h"
#include "omni/training/trainer.h"
#include "temporary_directory.h"
#include "test_device.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

std::vector<nlohmann::json> metrics_of(const fs::path& output, bool graphs) {
  const fs::path models = fs::path(OMNI_SOURCE_DIR) / "models" / "tiny";
  const StageConfig config = load_stage_config(
      fs::path(OMNI_SOURCE_DIR) / "configs" / "tiny" / "pretrain.yaml", "pretrain",
      {"output=" + output.string(),
       "shards=[" + (fs::path(OMNI_TEST_FIXTURES) / "golden" / "tokens").string() + "]",
       "tokenizers.text=" + (models / "text_tokenizer.json").string(),
       "tokenizers.image=" + (models / "image_tokenizer").string(),
       "tokenizers.shape=" + (models / "shape_tokenizer").string(), "model.width=128", "model.heads=2",
       "model.single_blocks=1", "model.dropout=0.1", "steps=4", "minutes=0", "tokens_per_step=1024",
       "tokens_per_micro_batch=512", "log_steps=1", "device=cuda", "precision=bf16",
       std::string("cuda_graphs=") + (graphs ? "true" : "false")});
  run_stage(config, {});
  std::vector<nlohmann::json> steps;
  for (const nlohmann::json& line : test::metric_lines(output / "metrics.jsonl"))
    if (line.contains("gradient_norm")) steps.push_back(line);
  return steps;
}

TEST(GraphStageGpu, LearnsWhatItLearnsWithout) {
  if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
  if (test::rehearsing()) GTEST_SKIP() << "the processor has no graphs of launches";
  const test::TemporaryDirectory folder;
  const auto plain = metrics_of(folder / "plain", false), replayed = metrics_of(folder / "replayed", true);
  ASSERT_EQ(plain.size(), 4);
  ASSERT_EQ(replayed.size(), plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(replayed[i].at("loss").get<double>() / plain[i].at("loss").get<double>(), 1, 5e-3) << i;
    EXPECT_NEAR(replayed[i].at("gradient_norm").get<double>() / plain[i].at("gradient_norm").get<double>(), 1,
                2e-2)
        << i;
    EXPECT_EQ(replayed[i].at("tokens"), plain[i].at("tokens"));
    EXPECT_FALSE(plain[i].contains("replayed_share"));
  }
  // Two of the eight micro-batches come before the graph is recorded, and some may have no room.
  EXPECT_GT(replayed.back().at("replayed_share").get<double>(), 0.3);
  EXPECT_LE(replayed.back().at("replayed_share").get<double>(), 0.75);
}

}  // namespace
}  // namespace omni::training
