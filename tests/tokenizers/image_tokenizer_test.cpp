#include "omni/tokenizers/image_tokenizer.h"

#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/core/random.h"
#include "omni/core/safetensors.h"
#include "omni/tokenizers/image_network.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

using at::Tensor;
namespace fs = std::filesystem;

ImageTokenizerConfig config_of_fixture(const fs::path& folder, std::int64_t image_size) {
  const auto json = parse_json(read_file_text(folder / "config.json"));
  ImageTokenizerConfig config;
  config.image_size = image_size;
  config.channels = json.at("ch");
  config.channel_multipliers = json.at("ch_mult").get<std::vector<std::int64_t>>();
  config.res_blocks.assign(config.channel_multipliers.size(), 2);
  config.z_channels = json.at("z_channels");
  config.codebook_size = json.at("codebook_size");
  config.codebook_dim = json.at("codebook_embed_dim");
  return config;
}

double largest_difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// The expected tensors were made with the reference implementation.
void expect_reference_case(const fs::path& folder) {
  const c10::InferenceMode inference;
  const SafetensorsFile expected(folder / "expected.safetensors");
  const Tensor image = nn::to_tensor(expected.at("image"));
  ImageNetwork network(config_of_fixture(folder, image.size(2)), 0);
  network.parameters.load(SafetensorsFile(folder / "vq.safetensors"));
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const Tensor vectors = network.encode(image.contiguous(format));
    EXPECT_LT(largest_difference(vectors, nn::to_tensor(expected.at("pre_quant"))), 1e-4);
    const Tensor indices = network.nearest(ImageNetwork::normalise(vectors));
    EXPECT_TRUE(at::equal(indices, nn::to_tensor(expected.at("indices"))));
    const Tensor pixels = network.decode(network.lookup(indices).contiguous(format));
    EXPECT_LT(largest_difference(pixels, nn::to_tensor(expected.at("reconstruction"))), 1e-4);
  }
}

TEST(ImageNetwork, AgreesWithTheTinyReference) {
  expect_reference_case(fs::path(OMNI_TEST_FIXTURES) / "tiny" / "llamagen_vq");
}

TEST(ImageNetwork, AgreesWithTheLargerReference) {
  const fs::path folder = fs::path(OMNI_SHARED_DIR) / "fixtures" / "llamagen_vq";
  if (!fs::exists(folder)) GTEST_SKIP() << "the larger reference case is not on this machine";
  expect_reference_case(folder);
}

ImageTokenizerConfig small_config() {
  ImageTokenizerConfig config;
  config.image_size = 16;
  config.channels = 8;
  config.channel_multipliers = {1, 2, 2};
  config.res_blocks = {0, 1, 1};
  config.norm_groups = 4;
  config.z_channels = 12;
  config.codebook_size = 32;
  config.codebook_dim = 4;
  return config;
}

image::Image noise_image(int width, int height, int channels, std::uint64_t seed) {
  image::Image image(width, height, channels);
  CounterRng rng(seed);
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>(rng.below(256));
  return image;
}

TEST(ImageTokenizer, CodesDoNotDependOnTheBatch) {
  const ImageTokenizer tokenizer(small_config(), 3);
  EXPECT_EQ(tokenizer.grid_size(), 4);
  std::vector<image::Image> images;
  for (int i = 0; i < 40; ++i) images.push_back(noise_image(16, 16, 3, i));
  const auto together = tokenizer.encode(images);
  ASSERT_EQ(together.size(), images.size());
  for (const std::size_t i : {0u, 7u, 39u}) {
    ASSERT_EQ(together[i].size(), 16u);
    EXPECT_EQ(tokenizer.encode(std::span(&images[i], 1))[0], together[i]);
  }
}

TEST(ImageTokenizer, TakesAnySizeAndChannelCount) {
  const ImageTokenizer tokenizer(small_config(), 3);
  const std::vector<image::Image> images = {noise_image(30, 20, 4, 1), noise_image(5, 9, 1, 2),
                                            noise_image(1, 1, 3, 3)};
  for (const auto& codes : tokenizer.encode(images)) {
    EXPECT_EQ(codes.size(), 16u);
    const auto decoded = tokenizer.decode(std::span(&codes, 1));
    EXPECT_EQ(decoded[0].width, 16);
    EXPECT_EQ(decoded[0].channels, 3);
  }
  EXPECT_TRUE(tokenizer.encode({}).empty());
}

TEST(ImageTokenizer, SavedAndLoadedItGivesTheSameCodes) {
  const test::TemporaryDirectory temporary;
  const fs::path folder = temporary / "image_tokenizer";
  const ImageTokenizer tokenizer(small_config(), 5);
  tokenizer.save(folder);
  const auto loaded = ImageTokenizer::load(folder);
  EXPECT_EQ(loaded->config().res_blocks, tokenizer.config().res_blocks);
  const std::vector<image::Image> images = {noise_image(16, 16, 3, 1)};
  EXPECT_EQ(loaded->encode(images), tokenizer.encode(images));
  EXPECT_TRUE(at::equal(loaded->codebook(), tokenizer.codebook()));
}

TEST(ImageTokenizer, WeightsSavedInHalfPrecisionAreThoseWeightsRounded) {
  const test::TemporaryDirectory temporary;
  const fs::path folder = temporary / "image_tokenizer";
  const ImageTokenizer tokenizer(small_config(), 5);
  tokenizer.save(folder, ImageTokenizer::WeightPrecision::fp16);
  const auto loaded = ImageTokenizer::load(folder);
  for (const nn::Parameter& parameter : tokenizer.network().parameters.all()) {
    const nn::Parameter* const half = loaded->network().parameters.find(parameter.name);
    EXPECT_TRUE(at::equal(half->value, parameter.value.to(at::kHalf).to(at::kFloat))) << parameter.name;
  }
}

TEST(ImageTokenizer, CodebookRowsHaveUnitLength) {
  const Tensor norms = ImageTokenizer(small_config(), 5).codebook().norm(2, {1});
  EXPECT_LT(largest_difference(norms, at::ones_like(norms)), 1e-6);
}

TEST(ImageTokenizer, RefusesCodesThatItCannotDecode) {
  const ImageTokenizer tokenizer(small_config(), 5);
  for (const auto& codes : {std::vector<std::int32_t>(15, 0), std::vector<std::int32_t>(16, 32),
                            std::vector<std::int32_t>(16, -1)}) {
    EXPECT_THROW(tokenizer.decode(std::span(&codes, 1)), Error);
  }
}

TEST(ImageTokenizer, RefusesImpossibleSizes) {
  auto config = small_config();
  config.image_size = 18;
  EXPECT_THROW(ImageTokenizer{config}, Error);
  config = small_config();
  config.res_blocks = {1, 1};
  EXPECT_THROW(ImageTokenizer{config}, Error);
}

TEST(ImageTokenizer, PixelsSurviveTheTripToTheNetworkAndBack) {
  const image::Image image = noise_image(16, 16, 3, 9);
  EXPECT_EQ(pixels_to_image(image_to_pixels(image, 16)).pixels, image.pixels);
}

}  // namespace
}  // namespace omni::tokenizers
