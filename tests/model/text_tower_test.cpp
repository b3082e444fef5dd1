#include "omni/model/text_tower.h"

#include "omni/model/public_model.h"
#include "omni/nn/parameters.h"
#include "public_case.h"

namespace omni::model {
namespace {

using Texts = std::vector<std::vector<std::int32_t>>;

std::unique_ptr<TextTower> open(const PublicCase& files) {
  return open_text_tower(
      {.weights = files.weights(), .config = files.config(), .tokenizer = files.tokenizer()});
}

std::vector<std::int32_t> row_of(const at::Tensor& ids, std::int64_t row) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < ids.size(1); ++i)
    tokens.push_back(static_cast<std::int32_t>(ids[row][i].item<std::int64_t>()));
  return tokens;
}

// Logits were made by the transformers package. In this file they are the products of what the features are, the last hidden
// states after the final norm, with the embedding.
TEST(TextTower, AQwen3sFeaturesAreWhatTheReferencesLogitsAreMadeOf) {
  const PublicCase files("qwen3");
  const std::unique_ptr<TextTower> tower = open(files);
  EXPECT_EQ(tower->width(), 32);
  const SafetensorsFile expected(files.expected()), weights(files.weights());
  const at::Tensor ids = nn::to_tensor(expected.at("input_ids")).to(at::kLong),
                   logits = nn::to_tensor(expected.at("logits")),
                   embedding = nn::to_tensor(weights.at("model.embed_tokens.weight"));
  ASSERT_LT(ids.size(1), tower->longest_text());
  Texts texts;
  for (std::int64_t b = 0; b < ids.size(0); ++b) texts.push_back(row_of(ids, b));
  const at::Tensor features = tower->features(tower->ids(texts));
  EXPECT_EQ(features.sizes(), at::IntArrayRef({ids.size(0), tower->rows(), tower->width()}));
  EXPECT_LT((at::linear(features.narrow(1, 0, ids.size(1)), embedding) - logits).abs().max().item<double>(),
            1e-4);
}

TEST(TextTower, AQwen3IsShownATextItsEndAndNoMoreThanItsRows) {
  const std::unique_ptr<TextTower> tower = open(PublicCase("qwen3"));
  const std::vector<std::int32_t> end = tower->tokenizer()->encode("<|endoftext|>");
  ASSERT_EQ(end.size(), 1u);
  const std::vector<std::int32_t> longer(100, 7);
  const at::Tensor ids = tower->ids({{5, 6}, {}, longer});
  ASSERT_EQ(ids.sizes(), at::IntArrayRef({3, kQwen3TextRows}));
  EXPECT_EQ(row_of(ids, 0).at(1), 6);
  EXPECT_EQ(row_of(ids, 0).at(2), end[0]);
  EXPECT_EQ(row_of(ids, 0).back(), end[0]);
  EXPECT_EQ(row_of(ids, 1), std::vector<std::int32_t>(kQwen3TextRows, end[0]));
  EXPECT_EQ(row_of(ids, 2).at(kQwen3TextRows - 2), 7);
  EXPECT_EQ(row_of(ids, 2).back(), end[0]);
}

TEST(TextTower, AQwen3sTokenizerMustKnowAnEnd) {
  const PublicCase files("qwen3");
  std::string json = read_file_text(files.tokenizer());
  for (std::size_t at; (at = json.find("<|endoftext|>")) != std::string::npos;)
    json.replace(at, 13, "<|other|>");
  write_file_atomically(files / "other.json", std::string_view(json));
  expect_input_error(
      [&] {
        open_text_tower(
            {.weights = files.weights(), .config = files.config(), .tokenizer = files / "other.json"});
      },
      {"has no token <|endoftext|>"});
}

TEST(TextTower, AClipIsTheSameBehindIt) {
  const PublicCase files("clip");
  const std::unique_ptr<TextTower> tower = open(files);
  const ClipWithTokenizer clip =
      open_clip_text({.weights = files.weights(), .config = files.config(), .tokenizer = files.tokenizer()});
  const at::Tensor ids = clip_prompt_ids(*clip.tokenizer, *clip.network->config().text,
                                         std::vector<std::string>{"a small red chair", ""});
  EXPECT_TRUE(tower->ids({clip.tokenizer->encode("a small red chair"), {}}).equal(ids));
  EXPECT_TRUE(tower->features(ids).equal(clip.network->text(ids).hidden));
  EXPECT_EQ(tower->rows(), ids.size(1));
  EXPECT_EQ(tower->longest_text(), ids.size(1) - 2);
}

}  // namespace
}  // namespace omni::model
