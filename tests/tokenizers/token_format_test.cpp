#include "omni/tokenizers/token_format.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace omni::tokenizers {
namespace {

TokenFormat full_format() {
  return {.text = {.vocabulary = 300, .tokenizer = 1},
          .image = {.vocabulary = 64, .grid_side = 4, .tokenizer = 2},
          .shape = {.geometry_vocabulary = 512,
                    .geometry_lengths = {8, 64},
                    .geometry_grid_side = 4,
                    .colour_vocabulary = 32,
                    .colour_codes = 3,
                    .colour_grid_side = 0,
                    .tokenizer = 3}};
}

TEST(TokenFormat, AnyOtherFactIsAnotherTokenizer) {
  struct Change {
    std::string named;
    std::function<void(TokenFormat&)> make;
  };
  const std::vector<Change> changes = {
      {"the text tokenizer", [](TokenFormat& f) { ++f.text.vocabulary; }},
      {"the text tokenizer", [](TokenFormat& f) { ++f.text.tokenizer; }},
      {"the image tokenizer", [](TokenFormat& f) { ++f.image.vocabulary; }},
      {"the image tokenizer", [](TokenFormat& f) { ++f.image.grid_side; }},
      {"the image tokenizer", [](TokenFormat& f) { ++f.image.tokenizer; }},
      {"the shape tokenizer", [](TokenFormat& f) { ++f.shape.geometry_vocabulary; }},
      {"the shape tokenizer", [](TokenFormat& f) { f.shape.geometry_lengths = {64}; }},
      {"the shape tokenizer", [](TokenFormat& f) { f.shape.geometry_grid_side = 0; }},
      {"the shape tokenizer", [](TokenFormat& f) { ++f.shape.colour_vocabulary; }},
      {"the shape tokenizer", [](TokenFormat& f) { ++f.shape.colour_codes; }},
      {"the shape tokenizer", [](TokenFormat& f) { ++f.shape.colour_grid_side; }},
      {"the shape tokenizer", [](TokenFormat& f) { ++f.shape.tokenizer; }}};
  EXPECT_EQ(difference(full_format(), full_format()), "");
  for (std::size_t i = 0; i < changes.size(); ++i) {
    TokenFormat other = full_format();
    changes[i].make(other);
    EXPECT_EQ(difference(full_format(), other), changes[i].named) << i;
    EXPECT_EQ(difference(other, full_format()), changes[i].named) << i;
    EXPECT_NE(other, full_format()) << i;
  }
}

TEST(TokenFormat, AbsentModalitiesAgreeWithAllAndAreJoined) {
  const TokenFormat full = full_format();
  const TokenFormat text{.text = full.text}, image_and_shape{.image = full.image, .shape = full.shape};
  EXPECT_EQ(difference({}, full), "");
  EXPECT_EQ(difference(text, image_and_shape), "");
  EXPECT_EQ(join(text, image_and_shape), full);
  EXPECT_EQ(join({}, full), full);
  TokenFormat other = full;
  ++other.image.tokenizer;
  EXPECT_EQ(join(full, other), full);
}

}  // namespace
}  // namespace omni::tokenizers
