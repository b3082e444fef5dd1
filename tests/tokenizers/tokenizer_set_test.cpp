#include "omni/tokenizers/tokenizer_set.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/random.h"
#include "omni/tokenizers/shape_grid.h"
#include "omni/tokenizers/shape_vecset.h"
#include "temporary_directory.h"

namespace omni::tokenizers {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<TextTokenizer> small_text() {
  return std::make_unique<TextTokenizer>(TextTokenizer::from_merges({{"a", "b"}, {"ab", "c"}}));
}

std::unique_ptr<ImageTokenizer> small_image() {
  return std::make_unique<ImageTokenizer>(ImageTokenizerConfig{.image_size = 16,
                                                               .channels = 8,
                                                               .channel_multipliers = {1, 1, 1},
                                                               .res_blocks = {1, 1, 1},
                                                               .z_channels = 8,
                                                               .codebook_size = 24,
                                                               .codebook_dim = 4},
                                          3);
}

std::unique_ptr<ShapeTokenizer> small_shape(const std::string& weights = "f32") {
  GridShapeConfig config;
  config.resolution = 16;
  config.encoder_channels = {4, 8, 8};
  config.quantiser.levels = {4, 5};
  config.decoder_channels = {8, 8};
  config.decoder_blocks = {1, 1};
  config.output_resolution = 16;
  config.colour.slots = 3;
  config.colour.palette = 8;
  config.colour.channels = 8;
  config.weights = weights;
  return std::make_unique<GridShapeTokenizer>(config, 3);
}

TokenizerSet small_set() { return {small_text(), small_image(), small_shape()}; }

// What shards and bundles have called a tokenizer from the first: told from its files alone.
std::uint64_t hash_of(const fs::path& file) { return hash_string(read_file_text(file)); }
std::uint64_t hash_of_folder(const fs::path& folder) {
  return hash_combine(hash_of(folder / "config.yaml"), hash_of(folder / "weights.safetensors"));
}

class TokenizerSetTest : public ::testing::Test {
 protected:
  // Saves, compares fingerprints with the files, and loads.
  TokenizerSet copy_of(const TokenizerSet& set) {
    const fs::path folder = folder_ / "set";
    fs::remove_all(folder);
    fs::create_directories(folder);
    set.save(folder);
    TokenizerPaths paths = TokenizerPaths::inside(folder);
    EXPECT_EQ(fs::exists(paths.text), set.text() != nullptr);
    EXPECT_EQ(fs::exists(paths.image), set.image() != nullptr);
    EXPECT_EQ(fs::exists(paths.shape), set.shape() != nullptr);
    if (set.text() == nullptr) paths.text.clear();
    if (set.image() == nullptr) paths.image.clear();
    if (set.shape() == nullptr) paths.shape.clear();
    if (set.text() != nullptr) EXPECT_EQ(set.format().text.tokenizer, hash_of(paths.text));
    if (set.image() != nullptr) EXPECT_EQ(set.format().image.tokenizer, hash_of_folder(paths.image));
    if (set.shape() != nullptr) EXPECT_EQ(set.format().shape.tokenizer, hash_of_folder(paths.shape));
    return TokenizerSet::load(paths);
  }
  std::string error_of_loading(const TokenizerPaths& paths, ErrorKind kind) {
    try {
      TokenizerSet::load(paths);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "loaded";
    return "";
  }

  const test::TemporaryDirectory folder_;
};

TEST_F(TokenizerSetTest, SaysWhatItsTokensAre) {
  const TokenFormat format = small_set().format();
  EXPECT_EQ(format.text.vocabulary, 258);  // bytes and two merges
  EXPECT_EQ(format.image.vocabulary, 24);
  EXPECT_EQ(format.image.grid_side, 4);  // 16 pixels, halved twice
  EXPECT_EQ(format.image.codes(), 16);
  EXPECT_EQ(format.shape.geometry_vocabulary, 20);  // 4 * 5 levels
  EXPECT_EQ(format.shape.geometry_grid_side, 2);    // 16 cells, halved three times
  EXPECT_EQ(format.shape.geometry_lengths, (std::vector<std::int64_t>{8}));
  EXPECT_EQ(format.shape.geometry_codes(), 8);
  EXPECT_EQ(format.shape.colour_vocabulary, 8);
  EXPECT_EQ(format.shape.colour_codes, 3);
  EXPECT_EQ(format.shape.colour_grid_side, 0);
}

TEST_F(TokenizerSetTest, ACopyIsTheSameSet) {
  const TokenizerSet set = small_set();
  const TokenizerSet copy = copy_of(set);
  EXPECT_EQ(copy.format(), set.format());
  EXPECT_EQ(copy.text()->encode("abcab"), set.text()->encode("abcab"));
  EXPECT_TRUE(copy.image()->codebook().equal(set.image()->codebook()));
  EXPECT_TRUE(copy.shape()->colour_codebook().equal(set.shape()->colour_codebook()));
  EXPECT_EQ(copy_of(copy).format(), set.format());
}

TEST_F(TokenizerSetTest, HalfPrecisionWeightsAreFingerprintedAsTheyAreWritten) {
  small_image()->save(folder_ / "image", ImageTokenizer::WeightPrecision::fp16);
  const TokenizerSet half(nullptr, ImageTokenizer::load(folder_ / "image"), small_shape("f16"));
  EXPECT_NE(half.format().image.tokenizer, small_set().format().image.tokenizer);
  EXPECT_NE(half.format().shape.tokenizer, small_set().format().shape.tokenizer);
  EXPECT_EQ(copy_of(half).format(), half.format());
}

TEST_F(TokenizerSetTest, AnyTokenizerMayBeAbsent) {
  const TokenFormat all = small_set().format();
  const TokenizerSet text = copy_of({small_text(), nullptr, nullptr});
  EXPECT_EQ(text.format(), (TokenFormat{.text = all.text}));
  EXPECT_EQ(text.image(), nullptr);
  const TokenizerSet image = copy_of({nullptr, small_image(), nullptr});
  EXPECT_EQ(image.format(), (TokenFormat{.image = all.image}));
  const TokenizerSet shape = copy_of({nullptr, nullptr, small_shape()});
  EXPECT_EQ(shape.format(), (TokenFormat{.shape = all.shape}));
  EXPECT_EQ(shape.text(), nullptr);
  EXPECT_EQ(copy_of({}).format(), TokenFormat{});
}

TEST_F(TokenizerSetTest, LatentsWithoutAGridOrColourSaySo) {
  VecsetShapeConfig config;
  config.width = 32;
  config.heads = 2;
  config.latents = 8;
  const TokenizerSet set(nullptr, nullptr, std::make_unique<VecsetShapeTokenizer>(config, 2));
  EXPECT_EQ(set.format().shape.geometry_codes(), 8);
  EXPECT_EQ(set.format().shape.geometry_grid_side, 0);
  EXPECT_EQ(set.format().shape.colour_codes, 0);
  EXPECT_EQ(set.format().shape.colour_vocabulary, 0);
  EXPECT_EQ(copy_of(set).format(), set.format());
}

// A file may say the same in other bytes: written by an earlier version, or by hand. Shards name those bytes.
TEST_F(TokenizerSetTest, ACopyKeepsTheWordsOfItsConfig) {
  const fs::path folder = folder_ / "edited";
  fs::create_directories(folder);
  small_set().save(folder);
  const TokenizerPaths paths = TokenizerPaths::inside(folder);
  for (const fs::path tokenizer : {paths.image, paths.shape}) {
    const std::string text = "# as I like it\n" + read_file_text(tokenizer / "config.yaml");
    write_file_atomically(tokenizer / "config.yaml", std::string_view(text));
  }
  const TokenizerSet set = TokenizerSet::load(paths);
  EXPECT_NE(set.format().image.tokenizer, small_set().format().image.tokenizer);
  EXPECT_EQ(copy_of(set).format(), set.format());
}

// The shards that are on disks name these: another number here makes all of them foreign.
TEST_F(TokenizerSetTest, ShippedTokenizersKeepTheirFingerprints) {
  const fs::path models = fs::path(OMNI_SOURCE_DIR) / "models";
  const TokenizerSet tiny = TokenizerSet::load(TokenizerPaths::inside(models / "tiny"));
  EXPECT_EQ(tiny.format().text.tokenizer, 0x1e20dabeffadef9bu);
  EXPECT_EQ(tiny.format().image.tokenizer, 0x553e9b92204c2954u);
  EXPECT_EQ(tiny.format().shape.tokenizer, 0x99ef3c2425f370e8u);
  EXPECT_EQ(copy_of(tiny).format(), tiny.format());
  TokenizerPaths adaptive = TokenizerPaths::inside(models / "adaptive");
  const TokenizerSet shape = TokenizerSet::load({.shape = adaptive.shape});
  EXPECT_EQ(shape.format().shape.tokenizer, 0x60587531bd53d3d8u);
  EXPECT_EQ(copy_of(shape).format(), shape.format());
  // Weights and config as the program would write them itself.
  EXPECT_EQ(TokenizerSet(nullptr, ImageTokenizer::load(models / "tiny" / "image_tokenizer"),
                         load_shape_tokenizer(models / "tiny" / "shape_tokenizer"))
                .format()
                .shape,
            tiny.format().shape);
}

TEST_F(TokenizerSetTest, WhatCannotBeLoadedIsNamed) {
  const fs::path folder = folder_ / "good";
  fs::create_directories(folder);
  small_set().save(folder);
  const TokenizerPaths good = TokenizerPaths::inside(folder);
  const std::string none = folder_ / "none";
  const auto named = [&](const TokenizerPaths& paths, ErrorKind kind, const std::string& tokenizer,
                         const std::string& path) {
    const std::string message = error_of_loading(paths, kind);
    EXPECT_NE(message.find("the " + tokenizer + " tokenizer '" + path), std::string::npos) << message;
  };
  named({.text = none}, ErrorKind::io, "text", none);
  named({.text = good.text, .image = none}, ErrorKind::io, "image", none);
  named({.text = good.text, .image = good.image, .shape = none}, ErrorKind::io, "shape", none);
  // Of another kind.
  named({.text = good.image}, ErrorKind::io, "text", good.image);
  named({.image = good.shape}, ErrorKind::input, "image", good.shape);
  named({.shape = good.image}, ErrorKind::input, "shape", good.image);
  named({.image = good.text}, ErrorKind::io, "image", good.text);
  for (const char* part : {"config.yaml", "weights.safetensors"}) {
    fs::remove(fs::path(good.shape) / part);
    EXPECT_NE(error_of_loading(good, ErrorKind::io).find(part), std::string::npos);
    fs::remove_all(good.shape);
    small_shape()->save(good.shape);
  }
}

}  // namespace
}  // namespace omni::tokenizers
