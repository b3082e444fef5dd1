// What a run says of its memory, against closed forms and what a dry run expects.
#include "stage_memory.h"

#include <gmock/gmock.h>

#include "caption_world.h"
#include "dry_run.h"
#include "omni/model/training_cost.h"
#include "rank_runs.h"
#include "stage_data.h"
#include "stage_start.h"

namespace omni::training {
namespace {

struct Case {
  std::string name;
  std::string precision;
  bool muon;
  int ranks;
  const char* sharding = "auto";
};

class StageMemoryTest : public CaptionWorld, public testing::WithParamInterface<Case> {};
INSTANTIATE_TEST_SUITE_P(Runs, StageMemoryTest,
                         testing::Values(Case{"fp32", "fp32", false, 1}, Case{"bf16_muon", "bf16", true, 1},
                                         Case{"fp32_sharded", "fp32", false, 2},
                                         Case{"bf16_sharded", "bf16", false, 2},
                                         Case{"fp32_full", "fp32", false, 2, "full"},
                                         Case{"bf16_full", "bf16", false, 2, "full"}),
                         [](const auto& info) { return info.param.name; });

TEST_P(StageMemoryTest, IsToldByPart) {
  StageConfig c = config("run");
  c.precision = GetParam().precision;
  c.muon.enabled = GetParam().muon;
  c.sharding = GetParam().sharding;
  c.steps = 4;
  c.checkpoint_steps = 2;
  testing::internal::CaptureStderr();
  run_on_thread_ranks(c, GetParam().ranks);
  const std::string log = testing::internal::GetCapturedStderr();
  const std::vector<nlohmann::json> lines = test::metric_lines(folder_ / "run/metrics.jsonl");
  ASSERT_EQ(lines.size(), 4u);

  const model::Bundle bundle = estimated_bundle(c);
  const MemoryParts expected = expected_memory(c, bundle, GetParam().ranks);
  for (const nlohmann::json& line : lines) {
    const auto bytes = [&](const char* part) {
      return 1e9 * line.at(concat("memory_gb ", part)).get<double>();
    };
    EXPECT_NEAR(bytes("weights"), expected.weights, 1);
    EXPECT_NEAR(bytes("gradients"), expected.gradients, 1);
    EXPECT_NEAR(bytes("fp32 of bf16 weights"), expected.masters, 1);
    EXPECT_NEAR(bytes("optimizer"), expected.moments, 1);
    if (expected.gathered > 0) EXPECT_NEAR(bytes("gathered blocks"), expected.gathered, 1);
    double sum = 0;
    for (const auto& [name, value] : line.items())
      if (name.starts_with("memory_gb ")) sum += value.get<double>();
    EXPECT_NEAR(sum, line.at("memory_gb"), 1e-9);
    // The program and its libraries, which this world is small beside.
    EXPECT_GT(bytes("other"), 0.5 * 1e9 * line.at("memory_gb").get<double>());
  }
  EXPECT_EQ(lines[0].at("memory_gb checkpoint copy"), 0);
  EXPECT_THAT(log,
              testing::ContainsRegex("memory of rank 0 up to step 1: 0\\.[0-9]+ GB\n +weights +0\\.000 GB"));
}

using StageMemoryOfOneRank = CaptionWorld;

// With AdamW: weights, gradients and two moments of four bytes each, of which a checkpoint copies all but the
// gradients and the gaps between the leaves.
TEST_F(StageMemoryOfOneRank, FollowsFromTheParameters) {
  StageConfig c = config("run");
  c.steps = 4;
  c.checkpoint_steps = 2;
  c.tokens_per_micro_batch = 1024;  // so that little is padded
  c.tokens_per_step = 2048;
  run_stage(c, {});
  const std::vector<nlohmann::json> lines = test::metric_lines(folder_ / "run/metrics.jsonl");
  const auto bytes = [&](const char* part) {
    return 1e9 * lines.back().at(concat("memory_gb ", part)).get<double>();
  };
  const model::Bundle bundle = start_bundle(c);
  double exact = 0, gaps = 0;
  for (const nn::Parameter& parameter : bundle.transformer->parameters().all()) {
    exact += static_cast<double>(parameter.value.nbytes());
    gaps += 2 * nn::kLeafAlignmentBytes;  // less than that
  }
  EXPECT_GE(bytes("weights"), exact);
  EXPECT_LT(bytes("weights"), exact + gaps);
  EXPECT_NEAR(bytes("gradients"), bytes("weights"), 1);
  EXPECT_NEAR(bytes("optimizer"), 2 * bytes("weights"), 1);
  EXPECT_NEAR(bytes("checkpoint copy"), 3 * exact, 1);

  const StageData data(c, bundle);
  double activations = 0, batches = 0;
  for (const sequence::PackedSequence& batch : data.step(0)) {
    activations = std::max(activations, model::activation_bytes(*bundle.transformer, batch, false));
    batches +=
        static_cast<double>(bundle.transformer->prepare(batch, data.prepare_options(data.source())).bytes());
  }
  EXPECT_NEAR(bytes("activations") / activations, 1, 0.3);
  // This step's two, the next one's, and those that wait: four of them at most.
  EXPECT_GT(bytes("batches"), 1.5 * batches);
  EXPECT_LT(bytes("batches"), 4.5 * batches);
}

}  // namespace
}  // namespace omni::training
