// Runs that train low-rank adapters, or a part of the parameters.
#include <gmock/gmock.h>

#include <map>

#include "caption_world.h"
#include "omni/core/error.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "refusal.h"
#include "stage_start.h"

namespace omni::training {
namespace {

class AdaptersTraining : public CaptionWorld {
 protected:
  void SetUp() override {
    CaptionWorld::SetUp();
    StageConfig base = config("base");
    base.model.initial_deviation = 0.3;  // large enough for adapters alone to tell tokens apart
    model::Bundle bundle = start_bundle(base);
    bundle.notes["stage"] = "continue";
    model::save_bundle(bundle, folder_ / "base");
  }

  StageConfig tuning(const std::string& output) const {
    StageConfig c = config(output);
    c.stage = "finetune";
    c.model = {};
    c.tokenizers = {};
    c.text_capacity = 0;
    c.start_bundle = (folder_ / "base").string();
    c.lora.rank = 4;
    return c;
  }

  std::filesystem::path checkpoint(const StageConfig& c, std::int64_t step) const {
    return checkpoint::checkpoint_path(std::filesystem::path(c.output) / "checkpoints", step);
  }

  // Of the weights that training starts from, views and all.
  static std::map<std::string, at::Tensor> values(const model::Bundle& bundle) {
    std::map<std::string, at::Tensor> all;
    for (const nn::Parameter& parameter : bundle.transformer->parameters().all())
      all[parameter.name] = parameter.master.clone();
    return all;
  }
};

TEST_F(AdaptersTraining, LearnAndAreMergedIntoAnOrdinaryBundle) {
  for (const char* precision : {"fp32", "bf16"}) {
    StageConfig c = tuning(precision);
    c.precision = precision;
    c.steps = 60;
    c.schedule.peak_learning_rate = 3e-2;
    c.lora.rank = 16;
    const TrainingSummary summary = run_stage(c, {});
    const auto lines = test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl");
    EXPECT_LT(summary.loss, 0.75 * lines.front().at("loss").get<double>()) << precision;
    const model::Bundle bundle = model::load_bundle(summary.bundle), start = start_bundle(tuning("unused"));
    EXPECT_THAT(bundle.notes.at("lora"), testing::HasSubstr("rank 16"));
    const auto before = values(start), after = values(bundle);
    for (const auto& [name, value] : after) {
      const bool adapted = name.starts_with("single_blocks") && value.dim() == 2;
      EXPECT_EQ(value.equal(before.at(name)), !adapted) << name;
    }
    // What sampling reads of a checkpoint is merged as well.
    const auto merged = values(model::load_bundle(checkpoint(c, 60)));
    ASSERT_EQ(merged.size(), after.size());
    for (const auto& [name, value] : merged) EXPECT_TRUE(value.equal(after.at(name))) << name;
  }
}

TEST_F(AdaptersTraining, AreMergedAsTheyWereOnAverage) {
  StageConfig c = tuning("averaged");
  c.steps = 8;
  c.schedule.peak_learning_rate = 3e-2;
  c.ema.decay = 0.7;
  c.ema.bundle = true;
  const auto expected = values(model::load_bundle(run_stage(c, {}).bundle));
  const auto averaged = values(model::load_averaged_bundle(checkpoint(c, 8))),
             last = values(model::load_bundle(checkpoint(c, 8)));
  bool same = true;
  for (const auto& [name, value] : averaged) {
    EXPECT_TRUE(value.equal(expected.at(name))) << name;
    same = same && value.equal(last.at(name));
  }
  EXPECT_FALSE(same);
}

TEST_F(AdaptersTraining, TakeMemoryForThemselvesAlone) {
  for (const char* precision : {"fp32", "bf16"}) {
    StageConfig c = tuning(concat("memory_", precision));
    c.precision = precision;
    c.steps = 1;
    run_stage(c, {});
    const auto line = test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl").front();
    const auto start = values(start_bundle(c));
    double all = 0, adapters = 0, frozen_matrices = 0;
    for (const auto& [name, value] : start) {
      const auto count = static_cast<double>(value.numel());
      all += count;
      if (name.find("lora") != std::string::npos)
        adapters += count;
      else if (name.starts_with("single_blocks") && value.dim() == 2)
        frozen_matrices += count;
    }
    // Sections are rounded up to 256 bytes a parameter.
    const double slack = 8 * 256 / 1e9;
    EXPECT_NEAR(line.at("memory_gb gradients").get<double>(), 4 * adapters / 1e9, slack);
    EXPECT_NEAR(line.at("memory_gb optimizer").get<double>(), 8 * adapters / 1e9, 2 * slack);
    const bool half = c.precision == "bf16";
    EXPECT_NEAR(line.at("memory_gb weights").get<double>(),
                (4 * all - (half ? 2 * (adapters + frozen_matrices) : 0)) / 1e9, slack);
    if (half)
      EXPECT_NEAR(line.at("memory_gb fp32 of bf16 weights").get<double>(),
                  4 * (adapters + frozen_matrices) / 1e9, slack);
  }
}

TEST_F(AdaptersTraining, GoOnBitForBit) {
  for (const bool muon : {false, true}) {
    for (const char* precision : {"fp32", "bf16"}) {
      StageConfig whole = tuning(concat("whole", muon, precision));
      whole.precision = precision;
      whole.muon.enabled = muon;
      const TrainingSummary expected = run_stage(whole, {});
      StageConfig part = whole;
      part.output = (folder_ / concat("part", muon, precision)).string();
      part.checkpoint_steps = 5;
      part.checkpoints_kept = 9;
      run_stage(part, {});
      forget_after(part, 5);
      const TrainingSummary resumed =
          run_stage(part, {.run = {.resume = Resume::yes, .allowed_changes = {}}, .dry_run = false});
      EXPECT_EQ(read_file_bytes(expected.bundle / "model.safetensors"),
                read_file_bytes(resumed.bundle / "model.safetensors"));
      EXPECT_EQ(last_shard(concat("whole", muon, precision)), last_shard(concat("part", muon, precision)));
    }
  }
  // Adapters of another rank are not those of the checkpoint.
  StageConfig other = tuning("part0fp32");
  other.checkpoint_steps = 5;
  other.checkpoints_kept = 9;
  const auto refusal = [&] {
    return test::refusal(ErrorKind::usage, [&] {
      run_stage(other, {.run = {.resume = Resume::yes, .allowed_changes = {"lora"}}, .dry_run = false});
    });
  };
  other.lora.rank = 8;
  EXPECT_THAT(refusal(),
              testing::HasSubstr("lora.rank was 4 and is 8. The checkpoint holds what cannot change"));
  other.lora.rank = 4;
  other.lora.layers = {"*.down"};
  EXPECT_THAT(refusal(), testing::HasSubstr("lora.layers was [*] and is [*.down]"));
}

TEST_F(AdaptersTraining, WantALayer) {
  const std::string file = std::string(OMNI_SOURCE_DIR) + "/configs/tiny/finetune.yaml";
  const auto load = [&](const std::string& layers) {
    load_stage_config(file, "finetune", {"lora.rank=4", "lora.layers=" + layers});
  };
  EXPECT_EQ(test::refusal(ErrorKind::usage, [&] { load("['*.qkv']"); }), "");
  EXPECT_THAT(test::refusal(ErrorKind::usage, [&] { load("[]"); }), testing::HasSubstr("'lora.layers'"));
}

TEST_F(AdaptersTraining, TakeTheSameStepsOnTwoRanks) {
  StageConfig alone = tuning("alone");
  alone.tokens_per_step = 256;
  run_on_thread_ranks(alone, 1);
  const auto losses = [](const StageConfig& c) {
    std::vector<double> all;
    for (const auto& line : test::metric_lines(std::filesystem::path(c.output) / "metrics.jsonl"))
      all.push_back(line.at("loss"));
    return all;
  };
  for (const char* sharding : {"none", "optimizer", "full"}) {
    StageConfig c = alone;
    c.output = (folder_ / sharding).string();
    c.sharding = sharding;
    run_on_thread_ranks(c, 2);
    const auto got = losses(c), wanted = losses(alone);
    ASSERT_EQ(got.size(), wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i] / wanted[i], 1, 1e-5) << i;
  }
}

TEST_F(AdaptersTraining, FrozenParametersStay) {
  StageConfig c = tuning("frozen");
  c.lora = {};
  c.freeze = {"embedding.*", "*.down.weight"};
  const auto before = values(start_bundle(c)), after = values(model::load_bundle(run_stage(c, {}).bundle));
  for (const auto& [name, value] : after)
    EXPECT_EQ(value.equal(before.at(name)), name == "embedding.weight" || name.ends_with("down.weight"))
        << name;
}

TEST_F(AdaptersTraining, PatternsThatMatchNothingLeaveNoRun) {
  const auto refusal = [&](const StageConfig& c) -> std::string {
    try {
      run_stage(c, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(c.output) / "metrics.jsonl"));
      return error.what();
    }
    return "";
  };
  StageConfig c = tuning("refused");
  c.lora.layers = {"single_blocks.7.*"};
  EXPECT_THAT(refusal(c), testing::HasSubstr("'lora.layers': the pattern 'single_blocks.7.*'"));
  c.lora = {};
  c.freeze = {"embeddings.weight"};
  EXPECT_THAT(refusal(c), testing::HasSubstr("Did you mean 'embedding.weight'?"));
  c.freeze = {"*"};
  EXPECT_THAT(refusal(c), testing::HasSubstr("leaves nothing to train"));
}

}  // namespace
}  // namespace omni::training
