// Fine-tuning of an imported Cube3D.
#include "cube3d_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metric_lines.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/token_shard.h"
#include "omni/model/public_model.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "refusal.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

const TrainerOptions kResumed{.run = {.resume = Resume::yes, .allowed_changes = {}}, .dry_run = false};

class Cube3dFinetuning : public testing::Test {
 protected:
  void SetUp() override {
    model::import_cube3d({.weights = small_.gpt, .config = small_.gpt_config, .tokenizer = {}},
                         {.weights = small_.clip, .config = {}, .tokenizer = {}}, small_.shape_tokenizer,
                         folder_ / "cube3d");
    write_shard(folder_ / "cube3d", folder_ / "shards");
  }

  // Four shapes with their captions, in the tokens of `model`.
  static void write_shard(const fs::path& model, const fs::path& shards) {
    const model::Cube3dParts parts = model::open_cube3d_parts(model);
    data::TokenShardInfo info;
    info.tokens = parts.tokenizers.format();
    std::vector<data::TokenObject> objects;
    for (int i = 0; i < 4; ++i) {
      data::TokenObject object;
      object.id = concat("object ", i);
      object.captions = {
          {tokenizers::encode_caption(*parts.tokenizers.text(), captions()[i]), data::CaptionKind::complete}};
      object.box = {31, 8 * i, 15};
      for (int k = 0; k < 8; ++k) object.geometry.push_back((5 * i + 3 * k * k) % 32);
      objects.push_back(std::move(object));
    }
    prepare_output_directory(shards);
    data::write_token_shard(shards / "shard-00000.safetensors", info, objects);
  }

  static std::vector<std::string> captions() {
    return {"a red chair", "a table", "a small lamp", "two cups"};
  }

  StageConfig config(const std::string& output) const {
    StageConfig c;
    c.stage = "finetune";
    c.output = (folder_ / output).string();
    c.start_bundle = (folder_ / "cube3d").string();
    c.shards = {(folder_ / "shards").string()};
    c.mixture = {{"text->shape", 1}};
    c.tokens_per_step = c.tokens_per_micro_batch = 256;
    c.steps = 12;
    c.precision = "fp32";
    c.log_steps = 1;
    c.schedule.peak_learning_rate = 1e-2;
    return c;
  }

  static std::vector<double> losses(const StageConfig& c) {
    std::vector<double> all;
    for (const auto& line : test::metric_lines(fs::path(c.output) / "metrics.jsonl"))
      all.push_back(line.at("loss"));
    return all;
  }

  // As if there had been none, but for the features of its texts.
  static void forget_run(const StageConfig& c) {
    for (const char* name : {"bundle", "checkpoints", "metrics.jsonl"})
      fs::remove_all(fs::path(c.output) / name);
  }

  test::TemporaryDirectory folder_;
  test::SmallCube3d small_{OMNI_TEST_FIXTURES, folder_.path()};
};

TEST_F(Cube3dFinetuning, LearnsOwnShapesAndLeavesAModelOfThePublishersLayout) {
  for (const bool low_rank : {false, true}) {
    StageConfig c = config(low_rank ? "lora" : "full");
    c.steps = 80;
    if (low_rank) {
      c.lora.rank = 8;
      c.lora.layers = {"*.generated.*", "single_blocks.*"};
      c.schedule.peak_learning_rate = 3e-2;
    }
    const TrainingSummary summary = run_stage(c, {});
    EXPECT_LT(summary.loss, (low_rank ? 0.8 : 0.5) * losses(c).front());

    const model::Cube3dModel before = model::load_cube3d(folder_ / "cube3d"),
                             after = model::load_cube3d(summary.bundle);
    const at::Tensor features =
        before.text->features(before.text->ids({before.text->tokenizer()->encode("a table")}));
    const at::Tensor box = at::tensor({1.925f, 0.5f, 0.9f}).view({1, 3});
    const at::Tensor codes = at::arange(8, at::kLong).view({1, 8});
    const auto logits = [&](const model::Cube3dModel& model) {
      return model.gpt->logits(model.gpt->condition(features, box), codes);
    };
    EXPECT_GT((logits(after) - logits(before)).abs().max().item<double>(), 0.1);

    // It tells how it came about.
    const std::map<std::string, std::string> notes = model::describe_public(summary.bundle).notes;
    EXPECT_EQ(notes.at("stage"), "finetune");
    EXPECT_EQ(notes.at("fine-tuned from"), c.start_bundle);
    EXPECT_EQ(notes.at("public model"), "Cube3D v0.5");
    EXPECT_EQ(notes.contains("lora") ? notes.at("lora") : "",
              low_rank ? "rank 8, alpha 16, layers *.generated.* single_blocks.*" : "");
    EXPECT_EQ(
        model::load_bundle_notes(checkpoint::checkpoints_in(fs::path(c.output) / "checkpoints").back().path),
        notes);
    EXPECT_TRUE(model::describe_public(c.start_bundle).notes.empty());

    // Under the publisher's name as well, as files that can be imported again.
    EXPECT_EQ(read_file_bytes(summary.bundle / "shape_gpt.safetensors"),
              read_file_bytes(summary.bundle / "model.safetensors"));
    model::import_cube3d({.weights = summary.bundle, .config = small_.gpt_config, .tokenizer = {}},
                         {.weights = small_.clip, .config = {}, .tokenizer = {}}, small_.shape_tokenizer,
                         folder_ / "again");
    EXPECT_TRUE(logits(model::load_cube3d(folder_ / "again")).equal(logits(after)));
    // The tokenizer is the same file, tensors that nobody uses and all.
    for (const auto& entry : fs::directory_iterator(folder_ / "cube3d" / "shape_tokenizer"))
      EXPECT_EQ(read_file_bytes(summary.bundle / "shape_tokenizer" / entry.path().filename()),
                read_file_bytes(entry.path()))
          << entry.path();
    const WeightSource trained(summary.bundle / "model.safetensors"),
        original(folder_ / "cube3d/model.safetensors");
    for (const auto& [name, view] : original.tensors()) {
      const bool same = nn::to_tensor(trained.at(name)).equal(nn::to_tensor(view));
      if (low_rank && name.find("pre_c") != std::string::npos) EXPECT_TRUE(same) << name;
      if (name.find("pre_x.c_qk") != std::string::npos) EXPECT_FALSE(same) << name;
      if (name.starts_with("shape_proj")) EXPECT_FALSE(same) << name;
      if (low_rank && name.starts_with("lm_head")) EXPECT_TRUE(same) << name;
    }
    // Of the rows of tokens, those of codes are as the reference will overwrite them, the others as they were.
    const auto values = [&](const char* name) { return nn::to_tensor(trained.at(name)); };
    const at::Tensor rows = values("transformer.wte.weight"), codebook = after.shape->geometry_codebook();
    const std::int64_t count = codebook.size(0);
    EXPECT_LT((rows.narrow(0, 0, count) -
               at::linear(codebook, values("shape_proj.weight"), values("shape_proj.bias")))
                  .abs()
                  .max()
                  .item<double>(),
              1e-6);
    EXPECT_TRUE(rows.narrow(0, count, 3)
                    .equal(nn::to_tensor(original.at("transformer.wte.weight")).narrow(0, count, 3)));
    model::Cube3dModel overwritten = model::load_cube3d(summary.bundle);
    overwritten.gpt->set_codebook(codebook);
    EXPECT_TRUE(logits(overwritten).equal(logits(after)));
  }
}

// With a Qwen3 the projection of texts begins anew.
TEST_F(Cube3dFinetuning, LearnsToReadAQwen3) {
  const fs::path fixtures = OMNI_TEST_FIXTURES, gpt = fixtures / "tiny/cube3d/gpt";
  const model::PublicFiles qwen3{
      .weights = fixtures / "public/qwen3/model.safetensors", .config = {}, .tokenizer = {}};
  const model::ImportedCube3d imported = model::import_cube3d(
      {.weights = gpt / "shape_gpt.safetensors", .config = gpt / "config.json", .tokenizer = {}}, qwen3,
      small_.shape_tokenizer, folder_ / "with_qwen3");
  ASSERT_TRUE(imported.fresh_text_projection);
  write_shard(folder_ / "with_qwen3", folder_ / "qwen3_shards");
  StageConfig c = config("run");
  c.start_bundle = (folder_ / "with_qwen3").string();
  c.shards = {(folder_ / "qwen3_shards").string()};
  c.steps = 150;
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_LT(summary.loss, 0.5 * losses(c).front());
  std::size_t kept = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(c.output) / "text_features"))
    kept += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(kept, captions().size() + 1);  // that of no caption

  const WeightSource before(folder_ / "with_qwen3/model.safetensors"),
      after(summary.bundle / "model.safetensors");
  for (const char* name : {"text_proj.weight", "text_proj.bias"})
    EXPECT_FALSE(nn::to_tensor(after.at(name)).equal(nn::to_tensor(before.at(name)))) << name;
  // The captions are told apart: each one's own shape is the likeliest of the four.
  const model::Cube3dModel model = model::load_cube3d(summary.bundle);
  for (int caption = 0; caption < 4; ++caption) {
    const at::Tensor features =
        model.text->features(model.text->ids({model.text->tokenizer()->encode(captions()[caption])}));
    std::vector<double> likelihoods;
    for (int shape = 0; shape < 4; ++shape) {
      std::vector<std::int64_t> codes;
      for (int k = 0; k < 8; ++k) codes.push_back((5 * shape + 3 * k * k) % 32);
      const at::Tensor targets = at::tensor(codes).view({1, 8});
      const at::Tensor logits = model.gpt->logits(model.gpt->condition(features, at::zeros({1, 3})), targets);
      const at::Tensor chances = logits[0].narrow(0, 0, 8).narrow(1, 0, 32).log_softmax(1);
      likelihoods.push_back(chances.gather(1, targets.view({8, 1})).sum().item<double>());
    }
    EXPECT_EQ(std::max_element(likelihoods.begin(), likelihoods.end()) - likelihoods.begin(), caption);
  }
}

TEST_F(Cube3dFinetuning, AdaptersLeaveTheProjectionOfCodesAsItWasWhereItIsFrozen) {
  StageConfig c = config("frozen");
  c.lora.rank = 2;
  c.freeze = {"codebook_projection.*"};
  const TrainingSummary summary = run_stage(c, {});
  const WeightSource trained(summary.bundle / "model.safetensors"),
      original(folder_ / "cube3d/model.safetensors");
  const auto is_same = [&](const char* name) {
    return nn::to_tensor(trained.at(name)).equal(nn::to_tensor(original.at(name)));
  };
  EXPECT_TRUE(is_same("shape_proj.weight"));
  EXPECT_TRUE(is_same("shape_proj.bias"));
  EXPECT_FALSE(is_same("transformer.dual_blocks.0.attn.pre_x.c_qk.weight"));
}

TEST_F(Cube3dFinetuning, ComputesTheFeaturesOfEachCaptionOnce) {
  StageConfig c = config("run");
  c.steps = 60;  // in which each caption is shown, and dropped
  run_stage(c, {});
  std::map<fs::path, fs::file_time_type> kept;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(c.output) / "text_features"))
    if (entry.is_regular_file()) kept[entry.path()] = fs::last_write_time(entry.path());
  EXPECT_EQ(kept.size(), captions().size() + 1);  // that of no caption
  // One that was damaged is computed again; the run is the same.
  write_file_atomically(kept.begin()->first, std::string_view("damaged"));
  const std::vector<double> first = losses(c);
  forget_run(c);
  run_stage(c, {});
  EXPECT_EQ(losses(c), first);
  for (const auto& [path, time] : kept)
    EXPECT_EQ(fs::last_write_time(path) == time, path != kept.begin()->first) << path;
}

TEST_F(Cube3dFinetuning, FeaturesOfAnotherTextTowerAreNotTaken) {
  StageConfig c = config("run");
  c.steps = 2;
  run_stage(c, {});
  const std::vector<double> first = losses(c);
  forget_run(c);

  // The same folder with a text tower of other weights.
  const SafetensorsFile clip(small_.clip);
  std::map<std::string, std::vector<float>> halved;
  std::vector<NamedTensorView> tensors;
  for (const auto& [name, view] : clip.tensors()) {
    if (!name.ends_with("token_embedding.weight")) {
      tensors.push_back({name, view});
      continue;
    }
    std::vector<float>& values = halved[name] = view.to_vector<float>();
    for (float& value : values) value *= -0.5f;
    tensors.push_back({name, tensor_view(values, view.shape)});
  }
  ASSERT_EQ(halved.size(), 1u);
  fs::create_directories(folder_ / "other");
  write_safetensors(folder_ / "other/model.safetensors", tensors);
  for (const char* name : {"config.json", "tokenizer.json"})
    fs::copy_file(small_.clip.parent_path() / name, folder_ / "other" / name);
  model::import_cube3d({.weights = small_.gpt, .config = small_.gpt_config, .tokenizer = {}},
                       {.weights = folder_ / "other/model.safetensors", .config = {}, .tokenizer = {}},
                       small_.shape_tokenizer, folder_ / "cube3d");
  run_stage(c, {});
  StageConfig fresh = c;
  fresh.output = (folder_ / "fresh").string();
  run_stage(fresh, {});
  EXPECT_EQ(losses(c), losses(fresh));
  EXPECT_NE(losses(c), first);
}

TEST_F(Cube3dFinetuning, GoesOnWithItsStartFolderAlone) {
  StageConfig c = config("run");
  c.steps = 1;
  run_stage(c, {});
  c.steps = 2;
  const auto refusal = [&](ErrorKind kind) -> std::string {
    try {
      run_stage(c, kResumed);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  };
  // Sizes that the weights do not have are refused before memory is taken for them.
  const fs::path description = folder_ / "cube3d/public.yaml";
  const std::string sizes = read_file_text(description);
  const std::size_t layers = sizes.find("dual_layers: ");
  ASSERT_NE(layers, std::string::npos);
  std::string forged = sizes;
  forged.replace(layers, forged.find('\n', layers) - layers, "dual_layers: 1000");
  write_file_atomically(description, std::string_view(forged));
  EXPECT_THAT(refusal(ErrorKind::input), testing::HasSubstr("transformer.dual_blocks."));
  write_file_atomically(description, std::string_view(sizes));

  fs::rename(folder_ / "cube3d", folder_ / "away");
  EXPECT_THAT(refusal(ErrorKind::io), testing::HasSubstr("start_bundle '" + c.start_bundle +
                                                         "' is needed to go on and is not there"));
  fs::rename(folder_ / "away", folder_ / "cube3d");
  EXPECT_EQ(refusal(ErrorKind::io), "");
}

TEST_F(Cube3dFinetuning, GoesOnBitForBit) {
  for (const bool low_rank : {false, true}) {
    StageConfig whole = config(concat("whole", low_rank));
    whole.precision = low_rank ? "bf16" : "fp32";
    if (low_rank) whole.lora.rank = 2;
    const TrainingSummary expected = run_stage(whole, {});
    StageConfig part = whole;
    part.output = (folder_ / concat("part", low_rank)).string();
    part.checkpoint_steps = 5;
    part.checkpoints_kept = 9;
    run_stage(part, {});
    for (const auto& entry : checkpoint::checkpoints_in(fs::path(part.output) / "checkpoints"))
      if (entry.step > 5) fs::remove_all(entry.path);
    fs::remove_all(fs::path(part.output) / "bundle");
    const TrainingSummary resumed = run_stage(part, kResumed);
    EXPECT_EQ(read_file_bytes(resumed.bundle / "model.safetensors"),
              read_file_bytes(expected.bundle / "model.safetensors"));
    EXPECT_EQ(losses(part), losses(whole));
  }
}

// The checkpoint would miss a tensor, of which nobody knows what to do about it.
TEST_F(Cube3dFinetuning, OtherAdaptersThanTheRunsAreRefusedByKey) {
  StageConfig run = config("run");
  run.steps = 1;
  run.lora.rank = 2;
  run.lora.layers = {"single_blocks.*"};
  run_stage(run, {});
  run.steps = 2;
  const auto refusal = [&](const auto& change) {
    StageConfig other = run;
    change(other.lora);
    return test::refusal(ErrorKind::usage, [&] { run_stage(other, kResumed); });
  };
  EXPECT_THAT(
      refusal([](auto& lora) { lora.rank = 4; }),
      testing::HasSubstr("it was started with another config: lora.rank was 2 and is 4. The checkpoint "
                         "holds what cannot change. Take the old value, or choose another output"));
  EXPECT_THAT(refusal([](auto& lora) { lora.layers = {"*"}; }),
              testing::HasSubstr("lora.layers was [single_blocks.*] and is [*]"));
  EXPECT_THAT(refusal([](auto& lora) { lora = {}; }), testing::HasSubstr("lora.rank was 2 and is 0"));
  EXPECT_EQ(run_stage(run, kResumed).steps, 2);
}

TEST_F(Cube3dFinetuning, TakesTheSameStepsOnTwoRanks) {
  StageConfig alone = config("alone");
  alone.tokens_per_step = 512;
  run_on_thread_ranks(alone, 1);
  StageConfig two = alone;
  two.output = (folder_ / "two").string();
  run_on_thread_ranks(two, 2);
  const std::vector<double> got = losses(two), wanted = losses(alone);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i] / wanted[i], 1, 1e-4) << i;
}

TEST_F(Cube3dFinetuning, KeysOfBundlesAreRefused) {
  const auto refusal = [](const StageConfig& c) -> std::string {
    try {
      run_stage(c, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  StageConfig c = config("refused");
  c.mixture = {{"shape->text", 1}};
  EXPECT_THAT(refusal(c), testing::HasSubstr("'shape->text' is none of Cube3D's"));
  c = config("refused");
  c.earlier_tasks = {"image->shape"};
  EXPECT_THAT(refusal(c), testing::HasSubstr("'image->shape' is none of Cube3D's"));
  c = config("refused");
  c.input_noise = 0.1;
  EXPECT_THAT(refusal(c), testing::HasSubstr("input_noise"));
  c = config("refused");
  c.tokens_per_step = c.tokens_per_micro_batch = 64;
  EXPECT_THAT(refusal(c), testing::HasSubstr("one document takes up to 87 tokens"));
  // A checkpoint of it is none of a bundle's.
  c = config("run");
  c.steps = 1;
  run_stage(c, {});
  EXPECT_THROW(model::load_bundle(fs::path(c.output) / "checkpoints/step-00000001"), Error);
}

}  // namespace
}  // namespace omni::training
