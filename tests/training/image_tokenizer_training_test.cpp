#include "omni/training/image_tokenizer_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "image_codebook.h"
#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/data/procedural_world.h"
#include "omni/geometry/renderer.h"
#include "omni/tokenizers/image_network.h"
#include "omni/training/tokenizer_data.h"
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
  ImageTokenizerTrainingConfig config;
  config.network.image_size = 16;
  config.network.channels = 8;
  config.network.channel_multipliers = {1, 2, 4};
  config.network.res_blocks = {0, 0, 1};
  config.network.attention = false;
  config.network.norm_groups = 2;
  config.network.z_channels = 16;
  config.network.codebook_size = 64;
  config.batch_size = 16;
  config.steps = 150;
  config.precision = "fp32";
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
  const fs::path metrics = folder / "image_training.jsonl";
  const auto tokenizer = train_image_tokenizer(small_config(), stacked.narrow(0, 0, 500), metrics);
  const auto quality = evaluate_image_tokenizer(*tokenizer, std::span(images).subspan(500));
  EXPECT_GT(quality.psnr_db, constant_psnr_db(stacked) + 3);
  EXPECT_GT(quality.codes_used, 20);
  std::istringstream lines(read_file_text(metrics));
  std::string line;
  int count = 0;
  for (; std::getline(lines, line); ++count)
    EXPECT_GT(nlohmann::json::parse(line).at("psnr_db").get<double>(), 0);
  EXPECT_EQ(count, 3);
}

TEST(ImageTokenizerTrainingSlow, IsAFunctionOfConfigAndImages) {
  auto config = small_config();
  config.steps = 12;
  config.precision = "bf16";
  const Tensor images = stack_images(rectangles(60, 16), 16);
  const auto first = train_image_tokenizer(config, images, {});
  const auto second = train_image_tokenizer(config, images, {});
  for (const nn::Parameter& parameter : first->network().parameters.all()) {
    const nn::Parameter* const twin = second->network().parameters.find(parameter.name);
    ASSERT_NE(twin, nullptr);
    EXPECT_TRUE(at::equal(parameter.value, twin->value)) << parameter.name;
  }
}

TEST(ImageTokenizerTraining, RefusesAnEmptySet) {
  EXPECT_THROW(train_image_tokenizer(small_config(), stack_images({}, 16), {}), Error);
}

// Nothing is learnt at the rate 0, so the loss tells the image: each line numbers it by its first appearance.
TEST(ImageTokenizerTraining, TheOrderOfImagesStaysWhatItIs) {
  auto config = small_config();
  config.batch_size = 1;
  config.steps = 17;
  config.log_steps = 1;
  config.continuous_share = 1;
  config.schedule.peak_learning_rate = 0;
  const test::TemporaryDirectory folder;
  const fs::path metrics = folder / "metrics.jsonl";
  train_image_tokenizer(config, stack_images(rectangles(6, 16), 16), metrics);
  std::istringstream lines(read_file_text(metrics));
  std::vector<double> losses;
  std::vector<std::size_t> images;
  for (std::string line; std::getline(lines, line);) {
    const double loss = nlohmann::json::parse(line).at("loss").get<double>();
    images.push_back(static_cast<std::size_t>(std::ranges::find(losses, loss) - losses.begin()));
    if (images.back() == losses.size()) losses.push_back(loss);
  }
  EXPECT_EQ(images, (std::vector<std::size_t>{0, 1, 2, 3, 4, 1, 5, 3, 2, 0, 4, 4, 0, 2, 3, 1, 5}));
}

TEST(ImageTokenizerTraining, StackedImagesKeepTheirBytes) {
  const auto images = rectangles(3, 16);
  const Tensor stacked = stack_images(images, 16);
  for (int i = 0; i < 3; ++i) {
    const Tensor rows = stacked[i].permute({1, 2, 0}).contiguous();
    EXPECT_EQ(std::memcmp(rows.const_data_ptr(), images[i].pixels.data(), images[i].pixels.size()), 0);
  }
}

Tensor unit_circle(const std::vector<double>& angles) {
  Tensor rows = at::empty({std::int64_t(angles.size()), 2});
  for (std::size_t i = 0; i < angles.size(); ++i) {
    rows[std::int64_t(i)][0] = std::cos(angles[i]);
    rows[std::int64_t(i)][1] = std::sin(angles[i]);
  }
  return rows;
}

TEST(ImageCodebook, FindsTheClustersOfUnitVectors) {
  CounterRng rng(2);
  std::vector<double> angles;
  for (int i = 0; i < 300; ++i) angles.push_back((i % 3) * 2.0 + 0.05 * rng.normal());
  Tensor embedding = at::randn({3, 2});
  ImageCodebook codebook(embedding, 0.9, 0.02);
  codebook.start(unit_circle(angles), rng);
  const Tensor nearest = at::matmul(unit_circle({0.0, 2.0, 4.0}), embedding.t());
  EXPECT_GT(std::get<0>(nearest.max(1)).min().item<double>(), 0.999);
}

TEST(ImageCodebook, MovesDeadCodesToWhereTheErrorIs) {
  CounterRng rng(3);
  Tensor embedding = unit_circle({0.0, 3.0});
  ImageCodebook codebook(embedding, 0.5, 0.1);
  const Tensor rows = unit_circle({0.0, 0.0, 0.0, 1.0});  // the code at 3 is never the nearest
  for (int step = 0; step < 10; ++step) codebook.learn(rows, at::matmul(rows, embedding.t()).argmax(1), rng);
  EXPECT_GE(codebook.revived(), 1);
  EXPECT_GT(at::matmul(rows, embedding.t()).amax(1).min().item<double>(), 0.999);
  EXPECT_GT(codebook.perplexity(), 1.5);
  EXPECT_EQ(codebook.used_share(), 1.0);
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
