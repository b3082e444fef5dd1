#include "omni/model/text_stream_start.h"

#include "omni/nn/parameters.h"
#include "public_case.h"
#include "small_shape.h"

namespace omni::model {
namespace {

class TextStreamStartTest : public testing::Test {
 protected:
  PublicFiles qwen3() const { return {.weights = files_.weights(), .config = {}, .tokenizer = {}}; }
  // A plain decoder of the small Qwen3's shape, but for what is this program's own.
  static ModelDescription plain() {
    ModelDescription d;
    TransformerConfig& t = d.transformer;
    t.width = 32;
    t.single_blocks = 2;
    t.heads = 4;
    t.head_size = 16;
    t.key_value_heads = 2;
    t.mlp_hidden = 72;
    t.query_key_norm_epsilon = 1e-6;
    t.rope_theta = 1e6;
    return d;
  }
  static ModelDescription two_streams(std::int64_t single_blocks = 0, const char* single_over = "all") {
    ModelDescription d = plain();
    d.transformer.streams = 2;
    d.transformer.dual_blocks = 2;
    d.transformer.single_blocks = single_blocks;
    d.transformer.single_over = single_over;
    return d;
  }
  // One document a row, in the tokens of the bundle.
  sequence::PackedSequence texts(const Bundle& bundle, const at::Tensor& ids) const {
    sequence::PackedSequence packed;
    packed.document_starts = {0};
    for (std::int64_t b = 0; b < ids.size(0); ++b) {
      for (std::int64_t i = 0; i < ids.size(1); ++i) {
        packed.tokens.push_back(bundle.vocabulary().range(sequence::kRangeText).first +
                                static_cast<std::int32_t>(ids[b][i].item<std::int64_t>()));
        packed.streams.push_back(sequence::Modality::text);
        packed.segments.push_back(0);
        packed.offsets.push_back(static_cast<std::int32_t>(i));
        packed.slots.push_back(static_cast<std::int32_t>(i));
        for (auto* zeros : {&packed.rows, &packed.columns}) zeros->push_back(0);
        packed.targets.push_back(-1);
        packed.loss_weights.push_back(0);
        packed.target_modalities.push_back(sequence::Modality::text);
        packed.allowed.push_back(-1);
      }
      packed.document_starts.push_back(packed.length());
    }
    return packed;
  }
  // From the logits of the imported Qwen3, which are the reference's (see qwen3_test.cpp), of the tokens that the tokenizer has.
  double difference_from_qwen3(const Bundle& bundle) const {
    const sequence::TokenRange& text = bundle.vocabulary().range(sequence::kRangeText);
    const at::Tensor ids = (at::arange(48, at::kLong) * 89 + 7).remainder(text.size).view({3, 16});
    const Qwen3 published(Qwen3Config::load(files_.config()), WeightSource(files_.weights()));
    const at::Tensor wanted = published.logits(ids).flatten(0, 1).narrow(1, 0, text.size);
    const at::Tensor logits = bundle.transformer->logits(texts(bundle, ids)).narrow(1, text.first, text.size);
    return (logits - wanted).abs().max().item<double>();
  }
  void expect_refused(const ModelDescription& description, const std::vector<std::string>& words) const {
    try {
      start_text_stream(description, qwen3(), {});
      ADD_FAILURE() << "taken: " << words.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      for (const std::string& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
    }
  }

  const PublicCase files_{"qwen3"};
};

// What pre-training gives a text tower needs such an input, and takes no part in what the stream computes.
TEST_F(TextStreamStartTest, AnInputOfTextsFeaturesStandsBeside) {
  ModelDescription description = plain();
  description.transformer.features = {text_input_of_width(32)};
  const Bundle bundle = start_text_stream(description, qwen3(), {});
  EXPECT_TRUE(has_text_input(bundle.transformer->config(), 32));
  EXPECT_FALSE(bundle.text_tower.has_value());
  EXPECT_LT(difference_from_qwen3(bundle), 1e-4);
}

TEST_F(TextStreamStartTest, TextsHaveQwen3sLogitsInAPlainDecoder) {
  EXPECT_LT(difference_from_qwen3(start_text_stream(plain(), qwen3(), {})), 1e-4);
  ModelDescription own;
  own.family = "qwen3";
  own.qwen3 = Qwen3Config::load(files_.config());
  EXPECT_LT(difference_from_qwen3(start_text_stream(own, qwen3(), {})), 1e-4);
  // Beside shapes, too, of which nothing is read.
  EXPECT_LT(
      difference_from_qwen3(start_text_stream(plain(), qwen3(), {.image = {}, .shape = small_shape(0)})),
      1e-4);
}

TEST_F(TextStreamStartTest, TextsHaveQwen3sLogitsInTheDualBlocksOfTwoStreams) {
  const Bundle bundle = start_text_stream(two_streams(), qwen3(), {.image = {}, .shape = small_shape(0)});
  EXPECT_LT(difference_from_qwen3(bundle), 1e-4);
  // The other stream starts as that of a fresh model does.
  const Transformer fresh(bundle.transformer->config(), bundle.vocabulary(), bundle.layout(),
                          nn::ParameterStart(1));
  std::size_t own = 0;
  for (const nn::Parameter& parameter : fresh.parameters().all()) {
    if (parameter.name.find(".generated.") == std::string::npos) continue;
    EXPECT_TRUE(bundle.transformer->parameters().find(parameter.name)->value.equal(parameter.value))
        << parameter.name;
    ++own;
  }
  EXPECT_EQ(own, 2u * 8);
}

// Of a text that ends half-way the last block gives keys and values alone.
TEST_F(TextStreamStartTest, ATextWithoutOutputKeepsTheKeysOfItsLastBlock) {
  const Bundle bundle =
      start_text_stream(two_streams(1, "generated"), qwen3(), {.image = {}, .shape = small_shape(0)});
  const SafetensorsFile weights(files_.weights());
  const auto published = [&](const std::string& name) {
    return nn::to_tensor(weights.at("model.layers.1.self_attn." + name + ".weight"));
  };
  const auto own = [&](const std::string& name) {
    return bundle.transformer->parameters().find("dual_blocks.1.text." + name + ".weight")->value;
  };
  EXPECT_TRUE(own("qkv").equal(at::concat({published("k_proj"), published("v_proj")})));
  EXPECT_TRUE(own("key_norm").equal(published("k_norm")));
  EXPECT_TRUE(
      own("attention_norm").equal(nn::to_tensor(weights.at("model.layers.1.input_layernorm.weight"))));
  // The last norm is the generated stream's alone.
  EXPECT_TRUE(bundle.transformer->parameters().find("final_norm.weight")->value.equal(at::ones({32})));
}

TEST_F(TextStreamStartTest, AKeyThatDiffersIsNamedWithBothValues) {
  using Change = void (*)(TransformerConfig&);
  const std::vector<std::tuple<Change, std::string, std::string>> changes = {
      {[](TransformerConfig& t) { t.width = 64; }, "'width' is 64", "is 32"},
      {[](TransformerConfig& t) { t.single_blocks = 3; }, "'single_blocks' is 3", "is 2"},
      {[](TransformerConfig& t) { t.heads = 2; }, "'heads' is 2", "is 4"},
      {[](TransformerConfig& t) { t.head_size = 8; }, "'head_size' is 8", "is 16"},
      {[](TransformerConfig& t) { t.key_value_heads = 0; }, "'key_value_heads' is 4", "is 2"},
      {[](TransformerConfig& t) { t.mlp_hidden = 64; }, "'mlp_hidden' is 64", "is 72"},
      {[](TransformerConfig& t) { t.norm = "layer"; }, "'norm' is layer", "is rms"},
      {[](TransformerConfig& t) { t.norm_scale = false; }, "'norm_scale' is false", "is true"},
      {[](TransformerConfig& t) { t.norm_epsilon = 1e-3; }, "'norm_epsilon' is 0.001", "is 1e-06"},
      {[](TransformerConfig& t) { t.bias = true; }, "'bias' is true", "is false"},
      {[](TransformerConfig& t) { t.query_key_norm = false; }, "'query_key_norm' is false", "is true"},
      {[](TransformerConfig& t) { t.query_key_norm_epsilon = 1e-5; }, "'query_key_norm_epsilon' is 1e-05",
       "is 1e-06"},
      {[](TransformerConfig& t) { t.rope = "interleaved"; }, "'rope' is interleaved", "is half"},
      {[](TransformerConfig& t) { t.rope_theta = 10000; }, "'rope_theta' is 10000", "is 1e+06"},
      {[](TransformerConfig& t) {
         t.rope_split = {8, 4, 4};
       },
       "'rope_split' is not empty", "is empty"},
      {[](TransformerConfig& t) { t.bidirectional = {"text"}; }, "'bidirectional' is with text",
       "is without text"},
      {[](TransformerConfig& t) { t.tied_embeddings = false; }, "'tied_embeddings' is false", "is true"}};
  for (const auto& [change, key, value] : changes) {
    ModelDescription d = plain();
    change(d.transformer);
    expect_refused(d, {key, value});
  }
  ModelDescription d = two_streams();
  d.transformer.dual_blocks = 1;
  expect_refused(d, {"'dual_blocks' is 1", "is 2"});
  d = plain();
  d.vocabulary.text = 500;
  expect_refused(d, {"'vocabulary.text' is 500", "the Qwen3's tokenizer has"});
  d = plain();
  d.vocabulary.image = 64;
  expect_refused(d, {"'vocabulary.image' is 64", "has 0"});
  d = plain();
  d.family = "cube3d";
  expect_refused(d, {"family cube3d"});
}

TEST_F(TextStreamStartTest, ABundleComesBackFromItsFolder) {
  save_bundle(start_text_stream(plain(), qwen3(), {.image = {}, .shape = small_shape(0)}), files_ / "bundle");
  EXPECT_LT(difference_from_qwen3(load_bundle(files_ / "bundle")), 1e-4);
  std::filesystem::remove(files_.tokenizer());
  expect_input_error([&] { start_text_stream(plain(), qwen3(), {}); }, {"has no tokenizer.json"});
}

}  // namespace
}  // namespace omni::model
