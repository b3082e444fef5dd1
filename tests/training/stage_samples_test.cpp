#include "stage_samples.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "metric_lines.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/data/token_shard.h"
#include "omni/geometry/mesh_files.h"
#include "omni/tokenizers/shape_grid.h"
#include "omni/training/trainer.h"
#include "rank_runs.h"
#include "sample_sheet.h"
#include "stage_start.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;

const fs::path tiny = fs::path(OMNI_SOURCE_DIR) / "models" / "tiny";

// A small model over the shipped tokenizers, with eight objects to learn and eight held out.
class StageSamplesTest : public testing::Test {
 protected:
  void SetUp() override { write_tokens("tokens", config("run").tokenizers); }

  void write_tokens(const std::string& name, const tokenizers::TokenizerPaths& paths) {
    const data::TokenShard golden(fs::path(OMNI_TEST_FIXTURES) / "golden/tokens/shard-00000.safetensors");
    data::TokenShardInfo info = golden.info();
    info.tokens = tokenizers::TokenizerSet::load(paths).format();
    std::vector<data::TokenObject> objects;
    for (std::int64_t i = 0; i < 16; ++i) {
      objects.push_back(golden.object(i));
      objects.back().split = i < 8 ? data::Split::train : data::Split::new_instance;
    }
    prepare_output_directory(folder_ / name);
    data::write_token_shard(folder_.path() / name / "shard-00000.safetensors", info, objects);
    const auto text = tokenizers::TextTokenizer::load(paths.text);
    for (std::size_t i = 8; i < objects.size(); ++i)
      for (const auto& caption : objects[i].captions) held_out_captions_.insert(text.decode(caption.tokens));
  }

  StageConfig config(const std::string& output) const {
    StageConfig c;
    c.output = (folder_ / output).string();
    c.tokenizers = {.text = (tiny / "text_tokenizer.json").string(),
                    .image = (tiny / "image_tokenizer").string(),
                    .shape = (tiny / "shape_tokenizer").string()};
    c.text_capacity = 40;
    c.shards = {(folder_ / "tokens").string()};
    c.mixture = {{"text->shape", 2}, {"image->shape", 1}, {"shape->text", 1}, {"text->image", 1}};
    c.model.width = 32;
    c.model.single_blocks = 1;
    c.model.heads = 2;
    c.model.dropout = 0.1;
    c.tokens_per_step = 1024;
    c.tokens_per_micro_batch = 512;
    c.steps = 4;
    c.log_steps = 1;
    c.sample_steps = 2;
    return c;
  }

  fs::path step_folder(const StageConfig& c, int step) const {
    return fs::path(c.output) / "samples" / concat("step-0000000", step);
  }
  nlohmann::json index_of(const StageConfig& c, int step) const {
    return parse_json(read_file_text(step_folder(c, step) / "samples.json"));
  }
  static std::set<std::string> names_in(const fs::path& folder) {
    std::set<std::string> names;
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing))
      names.insert(entry.path().filename().string());
    return names;
  }

  test::TemporaryDirectory folder_;
  std::set<std::string> held_out_captions_;
};

TEST_F(StageSamplesTest, ShowWhatTheWeightsMakeOfHeldOutObjects) {
  const StageConfig c = config("run");
  run_stage(c, {});
  EXPECT_EQ(names_in(fs::path(c.output) / "samples"),
            (std::set<std::string>{"step-00000002", "step-00000004"}));
  const nlohmann::json index = index_of(c, 2);
  ASSERT_EQ(index.size(), 4u);
  const std::vector<std::string> tasks = {"text->shape", "image->shape", "shape->text", "text->image"};
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const nlohmann::json& entry = index[i];
    EXPECT_EQ(entry.at("number"), i + 1);
    EXPECT_EQ(entry.at("task"), tasks[i]);
    EXPECT_EQ(entry.at("split"), "new_instance");
    EXPECT_FALSE(entry.contains("problem")) << entry;
  }
  for (const int i : {0, 3})
    EXPECT_EQ(held_out_captions_.count(index[i].at("prompts").at(0)), 1u) << index[i];
  EXPECT_EQ(held_out_captions_.count(index[2].at("true_texts").at(0)), 1u);

  const fs::path folder = step_folder(c, 2);
  EXPECT_EQ(names_in(folder),
            (std::set<std::string>{"01.glb", "02.glb", "03.txt", "04.png", "sheet.png", "samples.json"}));
  EXPECT_GT(geometry::read_mesh(folder / "01.glb").triangles.size(), 10u);
  // Bytes that are no text are not in the index.
  const auto letters = [](std::string text) {
    std::erase_if(text, [](char c) { return static_cast<signed char>(c) < 0; });
    return text;
  };
  EXPECT_GT(read_file_text(folder / "03.txt").size(), 1u);
  EXPECT_EQ(letters(read_file_text(folder / "03.txt")),
            letters(index[2].at("texts").at(0).get<std::string>() + "\n"));
  // Three rows with pictures, one condition beside two times four sides.
  EXPECT_FALSE(index[2].contains("row"));
  EXPECT_EQ(index[3].at("row"), 3);
  const image::Image sheet = image::read_image(folder / "sheet.png");
  EXPECT_EQ(sheet.width, 9 * 128 + 8 * 4);
  EXPECT_EQ(sheet.height, 3 * (128 + 12) + 2 * 4) << "a strip for the view below each";
  // Conditions and seeds stay, weights do not; what is true stays on the sheet.
  EXPECT_EQ(index_of(c, 4)[0].at("prompts"), index[0].at("prompts"));
  EXPECT_NE(read_file_bytes(step_folder(c, 4) / "01.glb"), read_file_bytes(folder / "01.glb"));
  const image::Image later = image::read_image(step_folder(c, 4) / "sheet.png");
  const int truth = 5 * (128 + 4);
  EXPECT_EQ(image::crop(later, truth, 0, 4 * 128 + 3 * 4, 128).pixels,
            image::crop(sheet, truth, 0, 4 * 128 + 3 * 4, 128).pixels);
}

// Nothing that sampling does is left behind: not in the weights, not in a line of metrics.
TEST_F(StageSamplesTest, LeaveTheRunAsItWas) {
  const auto timeless = [](const StageConfig& c) {
    std::vector<nlohmann::json> lines = test::metric_lines(fs::path(c.output) / "metrics.jsonl");
    for (nlohmann::json& line : lines)
      for (auto number = line.begin(); number != line.end();) {
        const std::string& key = number.key();
        const bool varies = key.starts_with("memory_gb") || key.starts_with("tokens_per_second") ||
                            key == "seconds" || key == "loader_wait" || key == "step_spread";
        number = varies ? line.erase(number) : std::next(number);
      }
    return lines;
  };
  for (const char* precision : {"fp32", "bf16"}) {
    for (const int ranks : {1, 2}) {
      StageConfig with = config(concat("with", precision, ranks)), without = with;
      with.precision = without.precision = precision;
      without.output = (folder_ / concat("without", precision, ranks)).string();
      without.sample_steps = 0;
      const TrainingSummary a = run_on_thread_ranks(with, ranks), b = run_on_thread_ranks(without, ranks);
      EXPECT_EQ(read_file_bytes(a.bundle / "model.safetensors"),
                read_file_bytes(b.bundle / "model.safetensors"))
          << precision << ranks;
      EXPECT_EQ(timeless(with), timeless(without));
      EXPECT_FALSE(fs::exists(fs::path(without.output) / "samples"));
      EXPECT_EQ(index_of(with, 4).size(), 4u);
    }
  }
}

TEST_F(StageSamplesTest, AreForgottenWithTheStepsThatAreTakenAgain) {
  StageConfig c = config("run");
  c.checkpoint_steps = 1;
  run_stage(c, {});
  for (const auto& entry : checkpoint::checkpoints_in(fs::path(c.output) / "checkpoints"))
    if (entry.step > 3) fs::remove_all(entry.path);
  fs::remove_all(fs::path(c.output) / "bundle");
  prepare_output_directory(fs::path(c.output) / "samples" / "step-00000004.x1y2.tmp");
  c.sample_steps = 5;
  c.steps = 6;
  run_stage(c, {.run = {.resume = Resume::yes, .allowed_changes = {}}});
  EXPECT_EQ(names_in(fs::path(c.output) / "samples"),
            (std::set<std::string>{"step-00000002", "step-00000005", "step-00000006"}));
}

TEST_F(StageSamplesTest, StartFromPromptsOfTheConfig) {
  StageConfig c = config("run");
  c.sample_prompts = {"a red chair", "two blue cubes"};
  c.steps = 2;
  run_stage(c, {});
  const nlohmann::json index = index_of(c, 2);
  ASSERT_EQ(index.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(index[i].at("prompts").at(0), c.sample_prompts[i / 2]);
    EXPECT_EQ(index[i].at("task"), i % 2 == 0 ? "text->shape" : "text->image");
    EXPECT_FALSE(index[i].contains("split"));
  }
  EXPECT_EQ(image::read_image(step_folder(c, 2) / "sheet.png").width, 4 * 128 + 3 * 4);

  const auto error_of = [](const StageConfig& wrong) -> std::string {
    try {
      run_stage(wrong, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_FALSE(fs::exists(fs::path(wrong.output) / "checkpoints"));
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  };
  c.output = (folder_ / "wrong").string();
  c.sample_prompts = {std::string(500, 'x')};
  EXPECT_THAT(error_of(c), testing::ContainsRegex("sample_prompts.*reads at most 40"));
  c.sample_prompts = {"a red chair"};
  c.mixture = {{"image->shape", 1}};
  EXPECT_THAT(error_of(c), testing::HasSubstr("no task of the mixture starts from one text"));
}

TEST_F(StageSamplesTest, StartFromTrainingObjectsWhereNoneIsHeldOut) {
  StageConfig c = config("run");
  c.validation_split = "unseen_colour";
  c.steps = 2;
  testing::internal::CaptureStderr();
  run_stage(c, {});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("start from objects of the training split"));
  for (const nlohmann::json& entry : index_of(c, 2)) EXPECT_EQ(entry.at("split"), "train");
}

// A decoder that is inside nowhere.
TEST_F(StageSamplesTest, TellOfShapesThatAreEmpty) {
  auto shape = tokenizers::load_shape_tokenizer(tiny / "shape_tokenizer");
  nn::ParameterStore& weights = dynamic_cast<tokenizers::GridShapeTokenizer&>(*shape).network().parameters();
  for (const char* name : {"decoder.head.weight", "decoder.head.bias"}) {
    at::Tensor value = weights.find(name)->value.detach();
    value.fill_(std::string(name).ends_with("bias") ? -5 : 0);
  }
  shape->save(folder_ / "hollow");
  StageConfig c = config("run");
  c.tokenizers.shape = (folder_ / "hollow").string();
  write_tokens("hollow_tokens", c.tokenizers);
  c.shards = {(folder_ / "hollow_tokens").string()};
  run_stage(c, {});
  const nlohmann::json index = index_of(c, 4);
  EXPECT_EQ(index[0].at("problem"), "the shape is empty");
  EXPECT_FALSE(index[0].contains("files"));
  EXPECT_EQ(index[0].at("row"), 1);
  EXPECT_FALSE(index[3].contains("problem"));
}

TEST_F(StageSamplesTest, WhatCannotBeWrittenDoesNotEndTheRun) {
  const StageConfig c = config("run");
  prepare_output_directory(c.output);
  write_file_atomically(fs::path(c.output) / "samples", std::string_view("in the way"));
  testing::internal::CaptureStderr();
  const TrainingSummary summary = run_stage(c, {});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("samples after step 2: "));
  EXPECT_EQ(summary.steps, 4);
  EXPECT_TRUE(fs::exists(summary.bundle / "bundle.yaml"));
}

// Others wait for rank 0, and not for ever.
TEST_F(StageSamplesTest, AreGivenUpBeforeOtherRanksLosePatience) {
  StageConfig c = config("run");
  c.call_minutes = 1e-9;
  const model::Bundle bundle = start_bundle(c);
  const StageData data(c, bundle);
  StageSamples(c, data, bundle, /*limited=*/true).make(2);
  EXPECT_TRUE(names_in(fs::path(c.output) / "samples").empty());
  StageSamples(c, data, bundle, /*limited=*/false).make(2);
  EXPECT_EQ(index_of(c, 2).size(), 4u);
}

TEST(SampleSheet, StandsInColumns) {
  const auto cells = [](std::initializer_list<std::uint8_t> shades) {
    Cells result;
    for (const std::uint8_t shade : shades) append_cell(result, image::Image(16, 16, 1, shade));
    return result;
  };
  const SheetRow wide{.conditions = cells({10}), .sample = cells({20, 30}), .truth = {}};
  const SheetRow narrow{.conditions = {}, .sample = cells({40}), .truth = cells({60})};
  const image::Image sheet = sample_sheet({wide, narrow});
  const auto shade = [&](int column, int row) { return int{*sheet.at(132 * column + 64, 144 * row + 64)}; };
  const std::vector<std::vector<int>> expected = {{10, 20, 30, 255}, {255, 40, 255, 60}};
  for (int row = 0; row < 2; ++row)
    for (int column = 0; column < 4; ++column) EXPECT_EQ(shade(column, row), expected[row][column]);
}

}  // namespace
}  // namespace omni::training
