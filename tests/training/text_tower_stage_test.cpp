// Stages of a bundle that is shown the features of a frozen text tower.
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metric_lines.h"
#include "omni/checkpoint/run_folder.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/data/token_shard.h"
#include "omni/generation/make_samples.h"
#include "omni/model/cube3d_growth.h"
#include "omni/model/public_model.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "small_cube3d.h"
#include "stage_start.h"
#include "temporary_directory.h"
#include "text_features.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kTiny = fs::path(OMNI_SOURCE_DIR) / "models" / "tiny";
const TrainerOptions kResumed{.run = {.resume = Resume::yes, .allowed_changes = {}}, .dry_run = false};
const std::vector<std::string> kCaptions = {"a red chair", "a table", "a small lamp", "two cups"};

class TextTowerStage : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path fixtures = fs::path(OMNI_TEST_FIXTURES) / "public";
    model::import_clip({.weights = fixtures / "clip/model.safetensors", .config = {}, .tokenizer = {}},
                       /*text_alone=*/true, folder_ / "clip");
    model::import_qwen3({.weights = fixtures / "qwen3/model.safetensors", .config = {}, .tokenizer = {}},
                        folder_ / "qwen3");
    write_shard("shards", folder_ / "clip");
  }

  // Four objects of the golden shard with captions of their own, in the tokens of a tower.
  void write_shard(const std::string& name, const fs::path& tower) const {
    const data::TokenShard golden(fs::path(OMNI_TEST_FIXTURES) / "golden/tokens/shard-00000.safetensors");
    data::TokenShardInfo info = golden.info();
    tokenizers::TokenizerPaths paths = config("").tokenizers;
    paths.text = (tower / "tokenizer.json").string();
    const auto set = tokenizers::TokenizerSet::load(paths);
    info.tokens = set.format();
    std::vector<data::TokenObject> objects;
    for (std::size_t i = 0; i < kCaptions.size(); ++i) {
      objects.push_back(golden.object(static_cast<std::int64_t>(i)));
      objects.back().split = data::Split::train;
      objects.back().captions = {
          {tokenizers::encode_caption(*set.text(), kCaptions[i]), data::CaptionKind::complete}};
      // A sequence of codes of each object's own: what it is follows from the caption alone.
      for (std::size_t k = 0; k < objects.back().geometry.size(); ++k)
        objects.back().geometry[k] = static_cast<std::int32_t>((7 * i + (i + 1) * k) % 16);
      objects.back().size = 5;
      objects.back().box = {31, 15, 15};
    }
    prepare_output_directory(folder_ / name);
    data::write_token_shard(folder_.path() / name / "shard-00000.safetensors", info, objects);
  }

  StageConfig config(const std::string& output) const {
    StageConfig c;
    c.output = (folder_ / output).string();
    c.tokenizers = {.text = {},
                    .image = (kTiny / "image_tokenizer").string(),
                    .shape = (kTiny / "shape_tokenizer").string()};
    c.text_tower = (folder_ / "clip").string();
    c.text_capacity = 24;
    c.shards = {(folder_ / "shards").string()};
    c.mixture = {{"text->shape", 1}};
    c.model.width = 32;
    c.model.single_blocks = 1;
    c.model.heads = 2;
    c.tokens_per_step = c.tokens_per_micro_batch = 512;
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

  static std::map<fs::path, fs::file_time_type> kept_features(const StageConfig& c) {
    std::map<fs::path, fs::file_time_type> kept;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(c.output) / "text_features"))
      if (entry.is_regular_file()) kept[entry.path()] = fs::last_write_time(entry.path());
    return kept;
  }

  // Of the shape of one caption, shown behind another one: in nats, of all its tokens.
  double loss_of(const model::Bundle& bundle, const std::string& caption, std::int64_t shape,
                 bool dropped) const {
    const data::TokenShard shard(folder_ / "shards/shard-00000.safetensors");
    sequence::ShapePayload payload{.size = shard.size_bin(shape), .geometry = shard.geometry(shape)};
    for (std::size_t axis = 0; axis < 3; ++axis) payload.box[axis] = shard.box_bins(shape)[axis];
    payload.colour = shard.colour(shape);
    const sequence::Document document{
        {{.payload = sequence::TextPayload{tokenizers::encode_caption(*bundle.tokenizers.text(), caption)},
          .dropped = dropped},
         {.payload = payload, .carries_loss = true}}};
    const sequence::ConditionFeatures features =
        condition_features(*bundle.text_tower, bundle.transformer->config(), folder_ / "looked_at");
    sequence::PackedSequence packed;
    sequence::append_document(packed, document, bundle.vocabulary(), bundle.layout(), 1000, &features);
    const c10::NoGradGuard no_grad;
    const auto loss = bundle.transformer->loss(bundle.transformer->prepare(packed), {.training = false});
    return loss.sums[2].item<double>();
  }

  std::string refusal(const StageConfig& c, ErrorKind kind = ErrorKind::usage,
                      const TrainerOptions& options = {}) const {
    try {
      run_stage(c, options);
      ADD_FAILURE() << "it was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  }

  test::TemporaryDirectory folder_;
};

TEST_F(TextTowerStage, LearnsToReadCaptionsByTheirFeatures) {
  for (const char* tower : {"clip", "qwen3"}) {
    StageConfig c = config(concat("run ", tower));
    c.text_tower = (folder_ / tower).string();
    write_shard("shards", folder_ / tower);
    c.steps = 150;
    const TrainingSummary summary = run_stage(c, {});
    EXPECT_LT(summary.loss, 0.5 * losses(c).front());
    EXPECT_EQ(kept_features(c).size(), kCaptions.size());  // of no text there is nothing to keep

    const model::Bundle before = start_bundle(c), after = model::load_bundle(summary.bundle);
    EXPECT_EQ(after.notes.at("text tower"), c.text_tower);
    for (const char* name : {"feature_projection.text.weight", "feature_projection.text.bias"})
      EXPECT_FALSE(after.transformer->parameters().find(name)->value.equal(
          before.transformer->parameters().find(name)->value))
          << name;
    // Each caption tells its own shape from the others, and a dropped one tells none.
    for (std::int64_t shape = 0; shape < 4; ++shape) {
      std::vector<double> by_caption;
      for (const std::string& caption : kCaptions)
        by_caption.push_back(loss_of(after, caption, shape, false));
      const auto likeliest = std::min_element(by_caption.begin(), by_caption.end());
      EXPECT_EQ(likeliest - by_caption.begin(), shape) << tower;
      EXPECT_LT(*likeliest, loss_of(after, kCaptions[0], shape, true)) << tower;
      EXPECT_EQ(loss_of(after, kCaptions[0], shape, true), loss_of(after, kCaptions[1], shape, true));
    }
    // It samples, with guidance and without.
    for (const double weight : {1.0, 2.0}) {
      generation::GenerationRequest request;
      request.task = sequence::built_in_task("text->shape");
      request.prompts = {"a small lamp"};
      request.guidance.everywhere = weight;
      request.sampling.temperature = 0;
      int made = 0;
      generation::make_samples(after, {&request, 1}, {}, [&](const generation::GeneratedSample& sample) {
        ++made;
        const data::TokenShard shard(folder_ / "shards/shard-00000.safetensors");
        EXPECT_EQ(sample.shapes.at(0).codes.geometry, shard.geometry(2)) << tower << ' ' << weight;
      });
      EXPECT_EQ(made, 1);
    }
  }
}

TEST_F(TextTowerStage, ComputesTheFeaturesOfEachCaptionOnce) {
  StageConfig c = config("run");
  c.steps = 20;
  run_stage(c, {});
  const auto kept = kept_features(c);
  ASSERT_EQ(kept.size(), kCaptions.size());
  const std::vector<double> first = losses(c);
  for (const char* name : {"bundle", "checkpoints", "metrics.jsonl"})
    fs::remove_all(fs::path(c.output) / name);
  write_file_atomically(kept.begin()->first, std::string_view("damaged"));
  run_stage(c, {});
  EXPECT_EQ(losses(c), first);
  const auto again = kept_features(c);
  for (const auto& [path, time] : kept)
    EXPECT_EQ(again.at(path) == time, path != kept.begin()->first) << path;
}

TEST_F(TextTowerStage, AResumedRunIsTheSameRunAlsoWithoutTheTowersFolder) {
  StageConfig whole = config("whole"), part = config("part");
  whole.checkpoint_steps = part.checkpoint_steps = 5;
  whole.checkpoints_kept = part.checkpoints_kept = 9;
  const TrainingSummary expected = run_stage(whole, {});
  run_stage(part, {});
  for (const auto& entry : checkpoint::checkpoints_in(fs::path(part.output) / "checkpoints"))
    if (entry.step > 5) fs::remove_all(entry.path);
  fs::remove_all(fs::path(part.output) / "bundle");
  StageConfig other = part;
  other.text_tower = (folder_ / "qwen3").string();
  EXPECT_THAT(refusal(other, ErrorKind::usage, kResumed),
              HasSubstr("text_tower has other content than it had"));
  fs::rename(folder_ / "clip", folder_ / "moved");
  const TrainingSummary resumed = run_stage(part, kResumed);
  EXPECT_EQ(losses(part), losses(whole));
  EXPECT_EQ(read_file_bytes(resumed.bundle / "model.safetensors"),
            read_file_bytes(expected.bundle / "model.safetensors"));
  EXPECT_EQ(model::load_bundle(resumed.bundle).text_tower->fingerprint(),
            model::load_bundle(expected.bundle).text_tower->fingerprint());
  // A checkpoint is read as a bundle, its tower with it.
  const auto newest = checkpoint::newest_sound(fs::path(part.output) / "checkpoints");
  ASSERT_TRUE(newest.has_value());
  EXPECT_TRUE(model::load_bundle(*newest).text_tower.has_value());
}

TEST_F(TextTowerStage, LaterStagesReadTextsAlike) {
  StageConfig first = config("first");
  first.mixture = {{"text->shape", 1}, {"shape->text", 1}, {"text->image", 1}, {"image->text", 1}};
  first.sample_steps = 12;
  first.validation_steps = 0;
  const TrainingSummary one = run_stage(first, {});
  EXPECT_TRUE(fs::exists(fs::path(first.output) / "samples/step-00000012/sheet.png"));
  for (const auto& entry :
       parse_json(read_file_text(fs::path(first.output) / "samples/step-00000012/samples.json")))
    if (entry.contains("problem")) EXPECT_EQ(entry.at("problem"), "the shape is empty");
  StageConfig next = config("next");
  next.stage = "continue";
  next.start_bundle = one.bundle.string();
  next.tokenizers = {};
  next.text_tower.clear();
  next.text_capacity = 0;
  next.mixture = {{"text->image@view", 1}, {"text->shape", 1}};
  fs::remove_all(folder_ / "clip");
  const TrainingSummary two = run_stage(next, {});
  EXPECT_LT(losses(next).back(), losses(next).front());
  EXPECT_EQ(kept_features(next).size(), kCaptions.size());
  const model::Bundle before = model::load_bundle(one.bundle), after = model::load_bundle(two.bundle);
  EXPECT_EQ(after.text_tower->fingerprint(), before.text_tower->fingerprint());
  EXPECT_FALSE(
      after.transformer->parameters()
          .find("feature_projection.text.weight")
          ->value.equal(before.transformer->parameters().find("feature_projection.text.weight")->value));
}

TEST_F(TextTowerStage, TwoRanksLearnWhatOneDoes) {
  StageConfig one = config("one"), two = config("two");
  one.mixture = two.mixture = {{"text->shape", 1}, {"image->shape", 1}};
  one.tokens_per_step = two.tokens_per_step = 1024;
  run_stage(one, {});
  run_on_thread_ranks(two, 2);
  const std::vector<double> expected = losses(one), got = losses(two);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-4) << i;
}

TEST_F(TextTowerStage, TheDryRunCountsTheTowerAndKeepsNothing) {
  const StageConfig c = config("dry");
  testing::internal::CaptureStdout();
  run_stage(c, {.dry_run = true});
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_THAT(printed, HasSubstr("text tower"));
  EXPECT_THAT(printed, HasSubstr("text_tower: "));
  EXPECT_FALSE(fs::exists(c.output));
}

TEST_F(TextTowerStage, WhatDoesNotFitIsRefusedByName) {
  StageConfig c = config("refused");
  c.text_capacity = 76;
  EXPECT_THAT(refusal(c),
              HasSubstr("'text_tower' reads texts of 75 tokens at most, and 'text_capacity' is 76"));
  c = config("refused");
  c.text_tower = (folder_ / "shards").string();
  EXPECT_THAT(refusal(c, ErrorKind::io), HasSubstr("omni import clip"));
  c = config("refused");
  c.text_tower = (folder_ / "qwen3").string();  // the shards have CLIP's tokens
  EXPECT_THAT(refusal(c, ErrorKind::input), HasSubstr("it was not made by"));
  // A bundle of tokens stays one.
  StageConfig tokens = config("tokens");
  tokens.text_tower.clear();
  tokens.tokenizers.text = (folder_ / "clip/tokenizer.json").string();
  const TrainingSummary plain = run_stage(tokens, {});
  c = config("refused");
  c.start_bundle = plain.bundle.string();
  c.tokenizers = {};
  EXPECT_THAT(refusal(c),
              HasSubstr("it was trained on texts as it is shown them, which is not by 'text_tower'"));
  model::Bundle untrained = model::load_bundle(plain.bundle);
  untrained.notes["stage"] = "init";
  model::save_bundle(untrained, folder_ / "untrained");
  c.start_bundle = (folder_ / "untrained").string();
  EXPECT_THAT(refusal(c), HasSubstr("it has no input of the 32 features of 'text_tower'"));
}

TEST_F(TextTowerStage, KeysThatExcludeItAreRefused) {
  const fs::path file = folder_ / "stage.yaml";
  const auto refused = [&](const std::string& stage, const std::string& more) -> std::string {
    write_file_atomically(file, "output: out\nshards: [shards]\nmixture: {text->shape: 1}\n" + more);
    try {
      load_stage_config(file, stage, {"stage=" + stage});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refused("pretrain", "text_tower: clip\n"), "");
  EXPECT_THAT(refused("pretrain", "text_tower: clip\ntokenizers: {text: a.json}\n"),
              HasSubstr("Leave 'tokenizers.text' out"));
  EXPECT_THAT(refused("pretrain", "text_tower: clip\nmodel: {features: [{name: text, width: 32}]}\n"),
              HasSubstr("'model.features' follows from 'text_tower'"));
  EXPECT_THAT(refused("finetune", "text_tower: clip\nstart_bundle: bundle\n"),
              HasSubstr("'text_tower' is for pretraining"));
}

// A Cube3D that was grown has the projection of its texts' features, which starts as it was.
TEST_F(TextTowerStage, AGrownCube3dIsShownTheFeaturesThatItKnows) {
  const test::SmallCube3d small(OMNI_TEST_FIXTURES, folder_.path());
  const model::Bundle bundle =
      model::grow_cube3d({.weights = small.gpt,
                          .config = model::Cube3dGptConfig::load(small.gpt_config),
                          .text = {.weights = small.clip, .config = {}, .tokenizer = {}},
                          .shape_tokenizer = small.shape_tokenizer},
                         tokenizers::ImageTokenizer::import_llamagen(
                             fs::path(OMNI_TEST_FIXTURES) / "tiny/llamagen_vq/vq.safetensors", 8));
  model::save_bundle(bundle, folder_ / "grown");
  data::TokenShardInfo info;
  info.tokens = bundle.tokenizers.format();
  std::vector<data::TokenObject> objects(1);
  objects[0].id = "one";
  objects[0].captions = {
      {tokenizers::encode_caption(*bundle.tokenizers.text(), kCaptions[0]), data::CaptionKind::complete}};
  objects[0].box = {31, 8, 15};
  for (int k = 0; k < 8; ++k) objects[0].geometry.push_back(3 * k % 32);
  info.tokens.image = {};
  prepare_output_directory(folder_ / "grown_shards");
  data::write_token_shard(folder_ / "grown_shards/shard-00000.safetensors", info, objects);
  StageConfig c = config("out");
  c.start_bundle = (folder_ / "grown").string();
  c.tokenizers = {};
  c.model = {};
  c.text_capacity = 0;
  c.shards = {(folder_ / "grown_shards").string()};
  c.freeze = {"feature_projection.box.*"};
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_LT(losses(c).back(), losses(c).front());
  const model::Bundle after = model::load_bundle(summary.bundle);
  ASSERT_TRUE(after.text_tower.has_value());
  EXPECT_EQ(after.notes.at("grown from"), "cube3d-v0.5");
  EXPECT_FALSE(
      after.transformer->parameters()
          .find("feature_projection.text.weight")
          ->value.equal(bundle.transformer->parameters().find("feature_projection.text.weight")->value));
  // Of another tokenizer there are no tokens in the bundle.
  c = config("other");
  c.start_bundle = (folder_ / "grown").string();
  c.tokenizers = {};
  c.model = {};
  c.text_capacity = 0;
  c.text_tower = (folder_ / "qwen3").string();
  EXPECT_THAT(refusal(c), HasSubstr("its texts are tokens of another tokenizer than that of 'text_tower'"));
}

}  // namespace
}  // namespace omni::training
