// The tokenizers that ship in models/tiny reach the figures that its README states.
#include <gtest/gtest.h>

#include <filesystem>

#include "omni/tokenizers/text_tokenizer.h"
#include "omni/training/image_tokenizer_training.h"
#include "omni/training/tokenizer_data.h"

namespace omni::training {
namespace {

const std::filesystem::path tiny = std::filesystem::path(OMNI_SOURCE_DIR) / "models" / "tiny";

TEST(TinyTokenizersSlow, HeldOutRendersReachTheStatedPsnr) {
  const auto tokenizer = tokenizers::ImageTokenizer::load(tiny / "image_tokenizer");
  TokenizerDataConfig config{.source = {.count = 100}, .views_per_object = 1};
  for (const auto split : {data::Split::new_instance, data::Split::unseen_colour,
                           data::Split::unseen_attribute, data::Split::unseen_count}) {
    config.source.split = split;
    const auto images = training_images(config, static_cast<int>(tokenizer->config().image_size));
    EXPECT_GT(evaluate_image_tokenizer(*tokenizer, images).psnr_db, 24.0) << data::split_name(split);
  }
}

TEST(TinyTokenizersSlow, CaptionsBecomeFewTokensAndComeBack) {
  const auto tokenizer = tokenizers::TextTokenizer::load(tiny / "text_tokenizer.json");
  const TokenizerDataConfig config{.source = {.count = 500}};
  std::size_t bytes = 0, tokens = 0;
  for (const std::string& text : training_texts(config)) {
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), text);
    bytes += text.size();
    tokens += ids.size();
  }
  EXPECT_GT(double(bytes) / double(tokens), 4.0);
  EXPECT_LE(tokenizer.vocabulary_size(), 768);
}

}  // namespace
}  // namespace omni::training
