// The tokenizers that ship in models/tiny reach the figures that its README states.
#include <gtest/gtest.h>

#include <filesystem>

#include "omni/data/tokenizer_fingerprint.h"
#include "omni/tokenizers/shape_tokenizer.h"
#include "omni/tokenizers/text_tokenizer.h"
#include "omni/training/image_tokenizer_training.h"
#include "omni/training/tokenizer_data.h"
#include "temporary_directory.h"

namespace omni::training {
namespace {

const std::filesystem::path tiny = std::filesystem::path(OMNI_SOURCE_DIR) / "models" / "tiny";

// A bundle holds copies of its tokenizers, and token shards name the tokenizers that made them.
TEST(TinyTokenizers, ACopyIsTheSameTokenizer) {
  const test::TemporaryDirectory folder;
  tokenizers::TextTokenizer::load(tiny / "text_tokenizer.json").save(folder / "text.json");
  tokenizers::ImageTokenizer::load(tiny / "image_tokenizer")->save(folder / "image");
  tokenizers::load_shape_tokenizer(tiny / "shape_tokenizer")->save(folder / "shape");
  EXPECT_EQ(data::tokenizer_fingerprint(folder / "text.json"),
            data::tokenizer_fingerprint(tiny / "text_tokenizer.json"));
  EXPECT_EQ(data::tokenizer_fingerprint(folder / "image"),
            data::tokenizer_fingerprint(tiny / "image_tokenizer"));
  EXPECT_EQ(data::tokenizer_fingerprint(folder / "shape"),
            data::tokenizer_fingerprint(tiny / "shape_tokenizer"));
}

TEST(TinyTokenizersSlow, HeldOutRendersReachTheStatedPsnr) {
  const auto tokenizer = tokenizers::ImageTokenizer::load(tiny / "image_tokenizer");
  const TokenizerDataConfig config;
  for (const auto split : {data::Split::new_instance, data::Split::unseen_colour,
                           data::Split::unseen_attribute, data::Split::unseen_count}) {
    const auto images = render_world(config, split, 100, 1, static_cast<int>(tokenizer->config().image_size));
    EXPECT_GT(evaluate_image_tokenizer(*tokenizer, images).psnr_db, 24.0) << data::split_name(split);
  }
}

TEST(TinyTokenizersSlow, CaptionsBecomeFewTokensAndComeBack) {
  const auto tokenizer = tokenizers::TextTokenizer::load(tiny / "text_tokenizer.json");
  TokenizerDataConfig config;
  config.objects = 500;
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
