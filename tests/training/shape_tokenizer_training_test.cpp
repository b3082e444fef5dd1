#include "omni/training/shape_tokenizer_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/data/procedural_world.h"
#include "omni/data/shape_sample.h"
#include "omni/tokenizers/cube3d_tokenizer.h"
#include "random_unions.h"
#include "small_tokenizers.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

namespace fs = std::filesystem;
using testing_support::RandomUnions;

class ShapeTokenizerTraining : public ::testing::Test {
 protected:
  static ShapeTokenizerTrainingConfig tiny(const std::string& layout) {
    ShapeTokenizerTrainingConfig config = small_shape_tokenizer(layout);
    config.objects = 6;
    config.batch = 2;
    config.steps = 6;
    config.continuous_share = 0.5;
    config.evaluation_objects = 2;
    return config;
  }

  // Anew, whatever an earlier run of the test left there.
  ShapeTokenizerTrainingSummary train(const ShapeTokenizerTrainingConfig& config, const std::string& name) {
    fs::remove_all(folder_ / name);
    fs::remove(folder_ / (name + ".checkpoint.safetensors"));
    return train_shape_tokenizer(config, train_, held_out_, folder_ / name);
  }

  static std::vector<std::byte> weights(const fs::path& folder) {
    return read_file_bytes(folder / "weights.safetensors");
  }

  const test::TemporaryDirectory folder_;
  const RandomUnions train_{1, 8}, held_out_{2, 4};
};

TEST_F(ShapeTokenizerTraining, SameSeedGivesTheSameWeights) {
  for (const char* layout : {"grid", "vecset"}) {
    const auto config = tiny(layout);
    const auto summary = train(config, "a");
    train(config, "b");
    EXPECT_EQ(summary.steps, 6);
    EXPECT_EQ(weights(folder_ / "a"), weights(folder_ / "b")) << layout;
    auto other = config;
    other.seed = 2;
    train(other, "c");
    EXPECT_NE(weights(folder_ / "a"), weights(folder_ / "c")) << layout;
    std::ifstream metrics(folder_ / "a" / "metrics.jsonl");
    int lines = 0;
    for (std::string line; std::getline(metrics, line);) ++lines;
    EXPECT_EQ(lines, 6);
    EXPECT_FALSE(fs::exists(folder_ / "a.metrics.jsonl"));
  }
}

// A run that was stopped goes on with what it had, here after each number of steps in turn.
TEST_F(ShapeTokenizerTraining, AFinishedRunGoesOnAsIfItHadBeenLonger) {
  const RunOptions resumed{.resume = Resume::yes, .allowed_changes = {}};
  for (const char* layout : {"grid", "vecset"}) {
    auto config = tiny(layout);
    config.continuous_share = 0;
    config.schedule.shape = "constant";
    config.schedule.warmup_share = 0;
    config.steps = 8;
    train(config, "whole");
    config.steps = 5;
    train(config, "part");
    EXPECT_TRUE(train_shape_tokenizer(config, train_, held_out_, folder_ / "part", resumed).was_finished);
    config.steps = 8;
    const auto summary = train_shape_tokenizer(config, train_, held_out_, folder_ / "part", resumed);
    EXPECT_EQ(summary.steps, 8);
    EXPECT_EQ(weights(folder_ / "part"), weights(folder_ / "whole")) << layout;
    EXPECT_EQ(std::ranges::count(read_file_text(folder_.path() / "part" / "metrics.jsonl"), '\n'), 8);
  }
}

TEST_F(ShapeTokenizerTraining, ResumingRefusesOtherObjectsAndSettings) {
  auto config = tiny("grid");
  train(config, "run");
  config.steps = 7;
  const auto refusal = [&](const ShapeTokenizerTrainingConfig& changed,
                           const data::ObjectSource& objects) -> std::string {
    try {
      train_shape_tokenizer(changed, objects, held_out_, folder_ / "run",
                            {.resume = Resume::yes, .allowed_changes = {}});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  auto changed = config;
  changed.seed = 5;
  changed.batch = 3;
  EXPECT_NE(refusal(changed, train_).find("seed was 1 and is 5, batch was 2 and is 3"), std::string::npos);
  EXPECT_NE(refusal(config, RandomUnions(3, 8)).find("data has other content"), std::string::npos);
  EXPECT_EQ(refusal(config, train_), "");
}

TEST_F(ShapeTokenizerTraining, WithoutHeldOutObjectsNothingIsMeasured) {
  const auto summary = train_shape_tokenizer(tiny("grid"), train_, RandomUnions(2, 0), folder_ / "a");
  EXPECT_FALSE(summary.report.has_value());
  EXPECT_NO_THROW(tokenizers::load_shape_tokenizer(folder_ / "a"));
}

TEST_F(ShapeTokenizerTraining, BadSettingsAreRefusedBeforeAnythingStarts) {
  auto config = tiny("vecset");
  config.vecset.queries = "farthest_points";
  config.vecset.surface_points = config.vecset.latents - 1;
  EXPECT_THROW(train(config, "a"), Error);
  config = tiny("grid");
  config.grid.resolution = config.grid.output_resolution = 24;  // three codes a side
  config.grid.adaptive_length = true;
  EXPECT_THROW(train(config, "a"), Error);
  EXPECT_THROW(train_shape_tokenizer(tiny("grid"), RandomUnions(1, 0), held_out_, folder_ / "a"), Error);
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

// The other choices that a config has; each trains, and trains to something of its own.
TEST_F(ShapeTokenizerTraining, EveryChoiceHasItsEffect) {
  train(tiny("vecset"), "plain");
  const auto differs = [&](const char* name, const ShapeTokenizerTrainingConfig& config) {
    train(config, name);
    EXPECT_NE(weights(folder_ / name), weights(folder_ / "plain")) << name;
    train(config, "again");
    EXPECT_EQ(weights(folder_ / name), weights(folder_ / "again")) << name;
  };
  auto config = tiny("vecset");
  config.precision = "bf16";
  differs("bf16", config);
  config = tiny("vecset");
  config.field_loss = "distance";
  differs("distance", config);
  config = tiny("vecset");
  config.vecset.queries = "farthest_points";
  differs("farthest points", config);
  config = tiny("vecset");
  config.vecset.sharp_edge_share = 0.5;
  differs("sharp edges", config);
  config = tiny("grid");
  train(config, "plain");
  config.field_loss = "distance";
  config.grid_loss_weight = 0;
  config.stretch = 0.3;
  differs("grid distance", config);
}

TEST_F(ShapeTokenizerTraining, EveryPrefixOfAnAdaptiveTokenizerIsMeasured) {
  for (const char* layout : {"grid", "vecset"}) {
    auto config = tiny(layout);
    config.grid.adaptive_length = config.vecset.adaptive_length = true;
    const auto summary = train(config, layout);
    std::vector<std::int64_t> lengths;
    for (const auto& [length, iou] : summary.report.value().iou_by_length) lengths.push_back(length);
    const bool grid = std::string(layout) == "grid";
    EXPECT_EQ(lengths, grid ? (std::vector<std::int64_t>{1, 9}) : (std::vector<std::int64_t>{1, 2, 4}));
    EXPECT_NE(to_text(summary.report.value()).find("volume IoU with 1 codes"), std::string::npos);
  }
}

TEST_F(ShapeTokenizerTraining, ColourIsTrainedOnTopOfFrozenGeometry) {
  for (const std::string layout : {"grid", "vecset"}) {
    auto config = tiny(layout);
    config.grid.adaptive_length = true;
    config.grid.colour.slots = 2;
    train(config, "geometry");
    config.start = (folder_ / "geometry").string();
    config.freeze_geometry = true;
    config.vecset.latents = 4;  // the start's sizes count
    config.grid.decoder_channels = {8, 8};
    config.grid.colour = {.slots = 3, .palette = 8, .context_blocks = 1, .channels = 8};
    config.vecset.colour.codes = 3;
    config.vecset.colour.quantiser.codebook_size = 8;
    config.precision = "bf16";  // the frozen weights are computed in it, and saved as they were
    train(config, "coloured");
    const SafetensorsFile before(folder_ / "geometry" / "weights.safetensors");
    const SafetensorsFile after(folder_ / "coloured" / "weights.safetensors");
    for (const auto& [name, view] : before.tensors()) {
      if (!name.starts_with("colour."))
        EXPECT_TRUE(std::ranges::equal(view.bytes, after.at(name).bytes)) << name;
    }
    EXPECT_GT(after.tensors().size(), before.tensors().size());
    const auto plain = tokenizers::load_shape_tokenizer(folder_ / "geometry");
    const auto coloured = tokenizers::load_shape_tokenizer(folder_ / "coloured");
    EXPECT_EQ(coloured->colour_code_count(), 3);
    const auto sample = data::make_shape_sample(held_out_.load(0), coloured->required_input(), CounterRng(3));
    EXPECT_EQ(coloured->encode(std::span(&sample, 1))[0].geometry,
              plain->encode(std::span(&sample, 1))[0].geometry);
  }
}

TEST_F(ShapeTokenizerTraining, AStartThatDoesNotFitIsRefused) {
  auto config = tiny("vecset");
  config.freeze_geometry = true;
  config.vecset.colour.codes = 3;
  EXPECT_THROW(train(config, "x"), Error);
  auto grid = tiny("grid");
  train(grid, "grid");
  config.start = (folder_ / "grid").string();
  EXPECT_THROW(train(config, "x"), Error);
  grid.start = config.start;
  grid.freeze_geometry = true;
  grid.grid.colour.slots = 0;
  EXPECT_THROW(train(grid, "x"), Error);
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

// A run that goes on changes what it starts from, and starts where that ended.
TEST_F(ShapeTokenizerTraining, GoingOnStartsFromTheGivenWeights) {
  auto config = tiny("grid");
  config.grid.weights = "f32";
  train(config, "first");
  config.start = (folder_ / "first").string();
  config.steps = 2;  // the schedule begins at zero
  config.schedule.peak_learning_rate = 1e-6;
  config.continuous_share = 0;
  train(config, "more");
  const SafetensorsFile before(folder_ / "first" / "weights.safetensors");
  const SafetensorsFile after(folder_ / "more" / "weights.safetensors");
  for (const auto& [name, view] : before.tensors()) {
    if (name.starts_with("colour.palette")) continue;    // starts anew
    const bool running = name == "bottleneck.codebook";  // a mean over steps
    const auto a = view.to_vector<float>(), b = after.at(name).to_vector<float>();
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], running ? 0.05 : 1e-4) << name;
  }
  EXPECT_FALSE(
      std::ranges::equal(before.at("decoder.head.weight").bytes, after.at("decoder.head.weight").bytes));
}

// The public layout's codes, coloured: no geometry code changes, and there are colour codes beside them.
TEST_F(ShapeTokenizerTraining, ImportedCodesAreColoured) {
  const fs::path public_weights =
      fs::path(OMNI_TEST_FIXTURES) / "tiny/cube3d/tokenizer/shape_tokenizer.safetensors";
  const auto imported = tokenizers::import_cube3d_tokenizer(public_weights);
  imported->save(folder_ / "imported");
  auto config = tiny("vecset");
  config.start = (folder_ / "imported").string();
  config.freeze_geometry = true;
  config.vecset.colour.codes = 3;
  config.vecset.colour.quantiser.codebook_size = 8;
  config.objects = 2;
  config.steps = 2;
  train(config, "coloured");
  const auto coloured = tokenizers::load_shape_tokenizer(folder_ / "coloured");
  const auto sample = data::make_shape_sample(held_out_.load(0), coloured->required_input(), CounterRng(3));
  const auto codes = coloured->encode(std::span(&sample, 1))[0];
  EXPECT_EQ(codes.geometry, imported->encode(std::span(&sample, 1))[0].geometry);
  EXPECT_EQ(codes.colour.size(), 3u);
  auto recoloured = sample;
  for (geometry::Vec3& c : recoloured.surface.colours) c = geometry::Vec3{1, 1, 1} - c;
  EXPECT_EQ(coloured->encode(std::span(&recoloured, 1))[0].geometry, codes.geometry);
}

TEST_F(ShapeTokenizerTraining, VecsetLearnsGeometryAndColourTogether) {
  auto config = tiny("vecset");
  config.vecset.colour.codes = 3;
  config.vecset.colour.quantiser.codebook_size = 8;
  config.vecset.adaptive_length = true;
  train(config, "a");
  train(config, "b");
  EXPECT_EQ(weights(folder_ / "a"), weights(folder_ / "b"));
  std::ifstream metrics(folder_ / "a" / "metrics.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(metrics, line));
  EXPECT_NE(line.find("colour_error"), std::string::npos);
  EXPECT_NE(line.find("field_loss"), std::string::npos);
}

TEST_F(ShapeTokenizerTraining, EveryShippedConfigIsValid) {
  for (const auto& entry : fs::directory_iterator(fs::path(OMNI_SOURCE_DIR) / "configs" / "tokenizers")) {
    if (!entry.path().filename().string().starts_with("shape_")) continue;
    ShapeTokenizerTrainingConfig config;
    ConfigFile::load(entry.path()).read([&](ConfigVisitor& visitor) { describe(visitor, config); });
    EXPECT_NO_THROW(validate(config)) << entry.path();
  }
}

class ShapeTokenizerTrainingSlow : public ShapeTokenizerTraining {
 protected:
  // Shapes before and after training, from nothing but random unions.
  double trained_iou(ShapeTokenizerTrainingConfig config) {
    const RandomUnions train(1, 400), held_out(2, 16);
    config.objects = 400;
    config.batch = 16;
    config.near_points = 256;
    config.volume_points = 256;
    config.evaluation_objects = 16;
    config.schedule.peak_learning_rate = 3e-3;
    return train_shape_tokenizer(config, train, held_out, folder_ / "trained").report.value().iou;
  }
};

TEST_F(ShapeTokenizerTrainingSlow, GridLearnsUnionsOfPrimitives) {
  auto config = tiny("grid");
  config.grid.encoder_channels = {8, 24, 48};
  config.grid.decoder_channels = {32, 24};
  config.grid.quantiser.codebook_size = 128;
  config.steps = 250;
  config.continuous_share = 0.2;
  EXPECT_GT(trained_iou(config), 0.7);
}

TEST_F(ShapeTokenizerTrainingSlow, LongerPrefixesOfAnAdaptiveGridAreNearerToTheShape) {
  const RandomUnions train(1, 400), held_out(2, 16);
  auto config = tiny("grid");
  config.grid.adaptive_length = true;
  config.grid.encoder_channels = {8, 24, 48};
  config.grid.decoder_channels = {32, 24};
  config.grid.quantiser.codebook_size = 128;
  config.objects = 400;
  config.batch = 16;
  config.near_points = config.volume_points = 256;
  config.evaluation_objects = 16;
  config.schedule.peak_learning_rate = 3e-3;
  config.steps = 300;
  config.continuous_share = 0.2;
  const auto report = train_shape_tokenizer(config, train, held_out, folder_ / "trained").report.value();
  ASSERT_EQ(report.iou_by_length.size(), 2u);
  EXPECT_GT(report.iou, 0.65) << to_text(report);
  EXPECT_GT(report.iou, report.iou_by_length[1].second) << to_text(report);
  EXPECT_GT(report.iou_by_length[1].second, report.iou_by_length[0].second) << to_text(report);
}

TEST_F(ShapeTokenizerTrainingSlow, VecsetLearnsSomethingOfUnionsOfPrimitives) {
  auto config = tiny("vecset");
  config.vecset.latents = 16;
  config.vecset.width = 32;
  config.vecset.quantiser.codebook_size = 128;
  config.vecset.surface_points = 256;
  config.steps = 400;
  config.continuous_share = 0.4;
  // About 0.4 after these few steps, by rounding alone a hundredth more or less; 0 before.
  EXPECT_GT(trained_iou(config), 0.3);
}

// The figures that the READMEs beside the tokenizers state, less what a draw of so many objects may miss them
// by.
struct ShippedFigures {
  const char* folder;
  std::int64_t objects;                   // of each split
  double iou, worst_split, at_an_eighth;  // the last 0 where there is no adaptive length
  double parts_coloured_right, colour_error;
  std::uintmax_t bytes;
};

void PrintTo(const ShippedFigures& figures, std::ostream* out) { *out << figures.folder; }

class ShippedShapeTokenizerSlow : public ::testing::TestWithParam<ShippedFigures> {};

TEST_P(ShippedShapeTokenizerSlow, ReachesItsFiguresOnHeldOutObjects) {
  const ShippedFigures& figures = GetParam();
  const fs::path folder = fs::path(OMNI_SOURCE_DIR) / "models" / figures.folder / "shape_tokenizer";
  const auto tokenizer = tokenizers::load_shape_tokenizer(folder);
  double iou = 0, colour = 0, colour_error = 0, eighth = 0;
  for (const auto split : {data::Split::new_instance, data::Split::unseen_colour,
                           data::Split::unseen_attribute, data::Split::unseen_count}) {
    const data::ProceduralSource held_out({.seed = 1, .split = split});
    const auto report = evaluate_shape_tokenizer(*tokenizer, held_out, figures.objects, 5);
    EXPECT_GE(report.iou, figures.worst_split) << data::split_name(split) << ": " << to_text(report);
    iou += report.iou / 4;
    colour += report.parts_coloured_right / 4;
    colour_error += report.colour_error / 4;
    for (const auto& [codes, value] : report.iou_by_length)
      if (codes == tokenizer->geometry_code_count() / 8) eighth += value / 4;
  }
  EXPECT_GE(iou, figures.iou);
  EXPECT_GE(eighth, figures.at_an_eighth);
  EXPECT_GE(colour, figures.parts_coloured_right);
  EXPECT_LE(colour_error, figures.colour_error);
  EXPECT_LE(fs::file_size(folder / "weights.safetensors"), figures.bytes);
}

INSTANTIATE_TEST_SUITE_P(Models, ShippedShapeTokenizerSlow,
                         ::testing::Values(ShippedFigures{"tiny", 96, 0.90, 0.84, 0, 0.92, 10, 3u << 20},
                                           ShippedFigures{"adaptive", 32, 0.94, 0.92, 0.89, 0.92, 10,
                                                          8u << 20}),
                         [](const auto& info) { return std::string(info.param.folder); });

}  // namespace
}  // namespace omni::training
