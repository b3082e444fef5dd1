#include "omni/training/image_tokenizer_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "metric_lines.h"
#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/renderer.h"
#include "omni/training/tokenizer_data.h"
#include "small_tokenizers.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

using at::Tensor;
namespace fs = std::filesystem;

// White squares with one coloured rectangle each.
std::vector<image::Image> rectangles(int count, int size) {
  std::vector<image::Image> images;
  CounterRng rng(11);
  for (int i = 0; i < count; ++i) {
    image::Image image(size, size, 3, 255);
    const int left = int(rng.below(size / 2)), top = int(rng.below(size / 2));
    const int width = 3 + int(rng.below(size / 2)), height = 3 + int(rng.below(size / 2));
    const std::uint8_t colour[3] = {std::uint8_t(rng.below(2) * 255), std::uint8_t(rng.below(2) * 255), 0};
    for (int y = top; y < std::min(size, top + height); ++y) {
      for (int x = left; x < std::min(size, left + width); ++x) std::copy(colour, colour + 3, image.at(x, y));
    }
    images.push_back(std::move(image));
  }
  return images;
}

ImageTokenizerTrainingConfig small_config() {
  ImageTokenizerTrainingConfig config = small_image_tokenizer();
  config.network.codebook_size = 64;
  config.batch_size = 16;
  config.steps = 150;
  config.schedule.peak_learning_rate = 5e-3;
  return config;
}

// The error of the best single colour for all images.
double constant_psnr_db(const Tensor& images) {
  const Tensor wide = images.to(at::kFloat);
  const double variance = (wide - wide.mean({0, 2, 3}, true)).square().mean().item<double>();
  return 10 * std::log10(255.0 * 255.0 / variance);
}

TEST(ImageTokenizerTrainingSlow, LearnsToReconstructUnseenImages) {
  const auto images = rectangles(600, 16);
  const Tensor stacked = stack_images(images, 16);
  const test::TemporaryDirectory folder;
  const auto summary = train_image_tokenizer(
      small_config(), [&] { return stacked.narrow(0, 0, 500); }, folder / "out");
  EXPECT_EQ(summary.steps, 150);
  const auto tokenizer = tokenizers::ImageTokenizer::load(folder / "out");
  const auto quality = evaluate_image_tokenizer(*tokenizer, std::span(images).subspan(500));
  EXPECT_GT(quality.psnr_db, constant_psnr_db(stacked) + 3);
  EXPECT_GT(quality.codes_used, 20);
  const std::vector<nlohmann::json> lines = test::metric_lines(folder.path() / "out" / "metrics.jsonl");
  for (const nlohmann::json& line : lines) EXPECT_GT(line.at("psnr_db").get<double>(), 0);
  EXPECT_EQ(lines.size(), 3u);
}

class ImageTokenizerTraining : public testing::Test {
 protected:
  static ImageTokenizerTrainingConfig short_config() {
    auto config = small_config();
    config.network.codebook_size = 16;
    config.steps = 12;
    config.batch_size = 4;
    config.log_steps = 1;
    config.continuous_share = 0.25;
    config.precision = "bf16";
    return config;
  }
  TokenizerTrainingSummary train(const ImageTokenizerTrainingConfig& config, const std::string& output,
                                 const RunOptions& options = {}) const {
    return train_image_tokenizer(
        config, [this] { return images_; }, folder_ / output, options);
  }
  std::vector<std::byte> weights(const std::string& output) const {
    return read_file_bytes(folder_.path() / output / "weights.safetensors");
  }
  std::int64_t lines(const std::string& output) const {
    return std::ranges::count(read_file_text(folder_.path() / output / "metrics.jsonl"), '\n');
  }

  const test::TemporaryDirectory folder_;
  const Tensor images_ = stack_images(rectangles(10, 16), 16);  // a pass ends in the midst of a batch
};

TEST_F(ImageTokenizerTraining, IsAFunctionOfConfigAndImages) {
  train(short_config(), "first");
  train(short_config(), "second");
  EXPECT_EQ(weights("first"), weights("second"));
}

// With a constant rate and codes from the start nothing depends on the length of the run.
TEST_F(ImageTokenizerTraining, AFinishedRunGoesOnAsIfItHadBeenLonger) {
  auto config = short_config();
  config.continuous_share = 0;
  config.schedule.shape = "constant";
  config.schedule.warmup_share = 0;
  train(config, "whole");
  config.steps = 7;
  train(config, "part");
  const RunOptions resumed{.resume = Resume::yes, .allowed_changes = {}};
  EXPECT_TRUE(train(config, "part", resumed).was_finished);
  EXPECT_EQ(lines("part"), 7);
  config.steps = 12;
  EXPECT_THROW(train(config, "part"), Error);
  const auto summary = train(config, "part", resumed);
  EXPECT_FALSE(summary.was_finished);
  EXPECT_EQ(summary.steps, 12);
  EXPECT_EQ(weights("part"), weights("whole"));
  EXPECT_EQ(lines("part"), 12);
}

// Nothing is learnt at the rate 0, so the loss tells the image: each line numbers it by its first appearance.
TEST_F(ImageTokenizerTraining, TheOrderOfImagesStaysWhatItIs) {
  auto config = small_config();
  config.batch_size = 1;
  config.steps = 17;
  config.log_steps = 1;
  config.continuous_share = 1;
  config.schedule.peak_learning_rate = 0;
  train_image_tokenizer(
      config, [] { return stack_images(rectangles(6, 16), 16); }, folder_ / "out");
  std::vector<double> losses;
  std::vector<std::size_t> images;
  for (const nlohmann::json& line : test::metric_lines(folder_.path() / "out" / "metrics.jsonl")) {
    const double loss = line.at("loss").get<double>();
    images.push_back(static_cast<std::size_t>(std::ranges::find(losses, loss) - losses.begin()));
    if (images.back() == losses.size()) losses.push_back(loss);
  }
  EXPECT_EQ(images, (std::vector<std::size_t>{0, 1, 2, 3, 4, 1, 5, 3, 2, 0, 4, 4, 0, 2, 3, 1, 5}));
}

TEST_F(ImageTokenizerTraining, ResumingRefusesOtherImagesAndSettings) {
  auto config = short_config();
  train(config, "run");
  config.steps = 13;
  const auto refusal = [&](const Tensor& images, const ImageTokenizerTrainingConfig& changed) -> std::string {
    try {
      train_image_tokenizer(changed, [&] { return images; }, folder_ / "run",
                            {.resume = Resume::yes, .allowed_changes = {"clip_norm"}});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal(images_.narrow(0, 0, 9), config).find("data has other content"), std::string::npos);
  auto changed = config;
  changed.batch_size = 5;
  EXPECT_NE(refusal(images_, changed).find("batch_size was 4 and is 5"), std::string::npos);
  changed = config;
  changed.clip_norm = 2;
  changed.weight_precision = "fp16";
  EXPECT_EQ(refusal(images_, changed), "");
}

TEST_F(ImageTokenizerTraining, RefusesAnEmptySet) {
  EXPECT_THROW(train_image_tokenizer(
                   small_config(), [] { return stack_images({}, 16); }, folder_ / "out"),
               Error);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(ImageTokenizerTraining, StackedImagesKeepTheirBytes) {
  const auto images = rectangles(3, 16);
  const Tensor stacked = stack_images(images, 16);
  for (int i = 0; i < 3; ++i) {
    const Tensor rows = stacked[i].permute({1, 2, 0}).contiguous();
    EXPECT_EQ(std::memcmp(rows.const_data_ptr(), images[i].pixels.data(), images[i].pixels.size()), 0);
  }
}

TEST(TokenizerData, RendersAreTheSameForTheSameArguments) {
  const TokenizerDataConfig config{.source = {.count = 5}, .views_per_object = 2};
  const auto first = training_images(config, 24);
  const auto second = training_images(config, 24);
  ASSERT_EQ(first.size(), 10u);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].pixels, second[i].pixels);
  EXPECT_NE(first[0].pixels, first[1].pixels);
  EXPECT_EQ(*first[0].at(0, 0), 255);  // white background
}

TEST(TokenizerData, DrawnViewsStayWhatTheyAre) {
  constexpr int kViews = geometry::kAzimuthBins * geometry::kElevationBins;
  const auto pictures = training_images({.source = {.count = 3}, .views_per_object = 3}, 16);
  const data::ProceduralSource source({.seed = 1, .count = 3});
  std::vector<int> views;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const geometry::Renderer renderer(source.load(static_cast<std::int64_t>(i / 3)).mesh);
    for (int bin = 0; bin < kViews; ++bin) {
      const geometry::Camera camera{
          .azimuth_degrees = geometry::azimuth_of_bin(bin % geometry::kAzimuthBins),
          .elevation_degrees = geometry::elevation_of_bin(bin / geometry::kAzimuthBins)};
      if (renderer.render(camera, {.width = 16, .height = 16}).pixels == pictures[i].pixels)
        views.push_back(bin);
    }
  }
  // The second and third object look the same from four sides.
  EXPECT_EQ(views, (std::vector<int>{108, 23, 101, 72, 78, 84, 90, 29, 35, 41, 47, 28, 34, 40,
                                     46,  48, 54,  60, 66, 77, 83, 89, 95, 25, 31, 37, 43}));
}

// Configs of before `source` and `seed` had those names are read as they were meant.
TEST(TokenizerData, IsReadFromYaml) {
  const auto read = [](const std::string& text) {
    TokenizerDataConfig config;
    ConfigFile::parse(text, "data.yaml").read([&](ConfigVisitor& visitor) { describe(visitor, config); });
    return config;
  };
  const TokenizerDataConfig now = read("source: out/data\nseed: 3\nobjects: 20\nlabel: flood\n");
  EXPECT_EQ(now.source.source, "out/data");
  EXPECT_EQ(now.source.seed, 3u);
  EXPECT_EQ(now.source.count, 20);
  EXPECT_EQ(now.source.labels.mode, geometry::LabelMode::flood);
  const TokenizerDataConfig older = read("world_seed: 4\nfolder: pictures\n");
  EXPECT_EQ(older.source.seed, 4u);
  EXPECT_EQ(older.source.source, "procedural");
  EXPECT_EQ(older.folder, "pictures");
  TokenizerDataConfig both = now;
  both.folder = "pictures";
  EXPECT_THROW(training_images(both, 16), Error);
  TokenizerDataConfig written = older;
  const std::string yaml = config_to_yaml([&](ConfigVisitor& visitor) { describe(visitor, written); });
  EXPECT_EQ(yaml.find("world_seed"), std::string::npos) << yaml;
  EXPECT_EQ(read(yaml).source.seed, 4u);
}

TEST(TokenizerData, SkipsWhatIsNoPicture) {
  const test::TemporaryDirectory temporary;
  const fs::path& folder = temporary.path();
  fs::create_directories(folder / "below");
  image::write_png(folder / "below" / "a.png", rectangles(1, 20)[0]);
  write_file_atomically(folder / "b.png", std::string_view("no picture"));
  EXPECT_EQ(read_pictures(folder.string(), 16).size(), 1u);
  fs::remove(folder / "below" / "a.png");
  EXPECT_THROW(read_pictures(folder.string(), 16), Error);
  EXPECT_THROW(read_pictures((folder / "absent").string(), 16), Error);
}

}  // namespace
}  // namespace omni::training
