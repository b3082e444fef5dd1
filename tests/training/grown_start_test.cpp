// Pre-training that starts from a public model that was grown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metric_lines.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/token_shard.h"
#include "omni/model/cube3d_growth.h"
#include "omni/tokenizers/caption_text.h"
#include "omni/training/trainer.h"
#include "small_cube3d.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

class GrownStart : public testing::Test {
 protected:
  void SetUp() override {
    const model::Bundle bundle =
        model::grow_cube3d({.weights = small_.gpt,
                            .config = model::Cube3dGptConfig::load(small_.gpt_config),
                            .text = {.weights = small_.clip, .config = {}, .tokenizer = {}},
                            .shape_tokenizer = small_.shape_tokenizer},
                           tokenizers::ImageTokenizer::import_llamagen(
                               fs::path(OMNI_TEST_FIXTURES) / "tiny/llamagen_vq/vq.safetensors", 8));
    model::save_bundle(bundle, folder_ / "grown");
    data::TokenShardInfo info;
    info.tokens = bundle.tokenizers.format();
    info.views_per_object = 1;
    std::vector<data::TokenObject> objects;
    const std::vector<std::string> captions = {"a red chair", "a table", "a small lamp", "two cups"};
    for (int i = 0; i < 4; ++i) {
      data::TokenObject object;
      object.id = concat("object ", i);
      object.captions = {
          {tokenizers::encode_caption(*bundle.tokenizers.text(), captions[i]), data::CaptionKind::complete}};
      object.box = {31, 8 * i, 15};
      for (int k = 0; k < 8; ++k) object.geometry.push_back((5 * i + 3 * k * k) % 32);
      object.views.resize(1);
      for (int k = 0; k < 16; ++k) object.views[0].codes.push_back((11 * i + 7 * k) % 64);
      objects.push_back(std::move(object));
    }
    prepare_output_directory(folder_ / "shards");
    data::write_token_shard(folder_ / "shards/shard-00000.safetensors", info, objects);
  }

  StageConfig config(const std::string& output) const {
    StageConfig c;
    c.output = (folder_ / output).string();
    c.start_bundle = (folder_ / "grown").string();
    c.shards = {(folder_ / "shards").string()};
    c.mixture = {{"text->shape", 1}, {"text->image", 1}, {"image->shape", 1}, {"shape->image", 1}};
    c.freeze = {"feature_projection.*"};
    c.tokens_per_step = c.tokens_per_micro_batch = 256;
    c.steps = 3;
    c.precision = "fp32";
    c.log_steps = 1;
    c.schedule.peak_learning_rate = 1e-2;
    return c;
  }

  test::TemporaryDirectory folder_;
  test::SmallCube3d small_{OMNI_TEST_FIXTURES, folder_.path()};
};

TEST_F(GrownStart, ThreeStepsOfPretrainingBringTheLossDown) {
  const StageConfig c = config("out");
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_EQ(summary.steps, 3);
  const auto lines = test::metric_lines(fs::path(c.output) / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_LT(lines.back().at("loss"), lines.front().at("loss"));
  const model::Bundle before = model::load_bundle(c.start_bundle), after = model::load_bundle(summary.bundle);
  EXPECT_EQ(after.notes.at("stage"), "pretrain");
  EXPECT_EQ(after.notes.at("grown from"), "cube3d-v0.5");
  ASSERT_TRUE(after.words.has_value());
  const auto value = [](const model::Bundle& bundle, const char* name) {
    return bundle.transformer->parameters().find(name)->value;
  };
  EXPECT_TRUE(
      value(after, "feature_projection.text.weight").equal(value(before, "feature_projection.text.weight")));
  for (const char* name : {"head.weight", "dual_blocks.0.text.qkv.weight", "single_blocks.0.down.weight"})
    EXPECT_FALSE(value(after, name).equal(value(before, name))) << name;
  // The stage after it goes on from there.
  StageConfig next = config("next");
  next.stage = "continue";
  next.start_bundle = summary.bundle.string();
  next.mixture = {{"shape->image@view", 1}};
  EXPECT_EQ(run_stage(next, {}).steps, 3);
}

TEST_F(GrownStart, OnlyPretrainingStartsThere) {
  StageConfig c = config("never");
  c.stage = "continue";
  try {
    run_stage(c, {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("made by 'omni init'"));
    EXPECT_THAT(error.what(), testing::HasSubstr("a bundle of 'omni pretrain'"));
  }
}

TEST_F(GrownStart, AFileThatAlsoDescribesAModelIsRefused) {
  const fs::path file = folder_ / "pretrain.yaml";
  const auto refused = [&](const std::string& more, const std::string& words) {
    write_file_atomically(file,
                          "stage: pretrain\noutput: out\nstart_bundle: grown\nshards: [shards]\n"
                          "mixture: {text->shape: 1}\n" +
                              more);
    try {
      load_stage_config(file, "pretrain", {});
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(words));
    }
  };
  refused("model: {width: 64}\n", "'model' is for pretraining from fresh weights");
  refused("tokenizers: {text: t.json}\n", "'tokenizers' is for pretraining from fresh weights");
  write_file_atomically(file, std::string_view("stage: pretrain\noutput: out\nstart_bundle: grown\n"
                                               "shards: [shards]\nmixture: {text->shape: 1}\n"));
  EXPECT_EQ(load_stage_config(file, "pretrain", {}).start_bundle, "grown");
}

}  // namespace
}  // namespace omni::training
