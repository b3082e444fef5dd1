// Low-rank adapters in the linear layers of a transformer.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "small_world.h"
#include "transformer_network.h"

namespace omni::model {
namespace {

struct Case {
  const char* name;
  TransformerConfig config;
};

class Adapters : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Transformer> make() const {
    return std::make_unique<Transformer>(GetParam().config, vocabulary_, small_layout(), 5,
                                         small_codebooks());
  }
  sequence::PackedSequence documents() const {
    std::vector<sequence::Document> all = {random_document(1), random_document(2)};
    for (sequence::Document& document : all)
      for (sequence::Segment& segment : document.segments)
        if (GetParam().config.drops_text() && segment.modality() == sequence::Modality::text)
          segment.carries_loss = false;
    return packed(all, vocabulary_);
  }
  // As if it had been trained.
  static void move_away_from_zero(Transformer& model) {
    const c10::NoGradGuard guard;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(11);
    for (const nn::Parameter& parameter : model.parameters().all())
      if (parameter.name.ends_with("lora_b")) at::Tensor(parameter.value).normal_(0, 0.05, generator);
  }

  sequence::Vocabulary vocabulary_ = small_vocabulary();
};

TransformerConfig without_norm_of_queries() {
  TransformerConfig config = small_config();
  config.query_key_norm = false;
  return config;
}

INSTANTIATE_TEST_SUITE_P(Configs, Adapters,
                         testing::Values(Case{"plain", without_norm_of_queries()},
                                         Case{"streams", two_stream_config("all")},
                                         Case{"keys_only", two_stream_config("generated")}),
                         [](const auto& info) { return info.param.name; });

TEST_P(Adapters, ChangeNothingAtFirst) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const auto plain = make(), adapted = make();
    adapted->add_adapters({.rank = 4}, 3);
    for (const auto& model : {plain.get(), adapted.get()}) model->set_activation_type(type);
    EXPECT_TRUE(adapted->logits(documents()).equal(plain->logits(documents())));
  }
}

TEST_P(Adapters, MergedGiveWhatTheyGaveBeside) {
  const auto model = make();
  const at::Tensor first = model->logits(documents());
  model->add_adapters({.rank = 4, .alpha = 8}, 3);
  move_away_from_zero(*model);
  const at::Tensor beside = model->logits(documents());
  EXPECT_GT((beside - first).abs().max().item<double>(), 0.1);
  model->merge_adapters();
  EXPECT_LT((model->logits(documents()) - beside).abs().max().item<double>(),
            1e-4 * beside.abs().max().item<double>());
  // It is an ordinary model again.
  const auto plain = make();
  ASSERT_EQ(model->parameters().all().size(), plain->parameters().all().size());
  for (const nn::Parameter& parameter : plain->parameters().all())
    EXPECT_NE(model->parameters().find(parameter.name), nullptr) << parameter.name;
  EXPECT_EQ(model->adapters().rank, 0);
}

// d weight' of weight' = weight + scale B A, of a model that has weight' itself.
TEST_P(Adapters, GradientsAreThoseOfTheMergedWeight) {
  const double scale = 8.0 / 4;
  const auto adapted = make(), merged = make();
  for (const auto& model : {adapted.get(), merged.get()}) {
    model->add_adapters({.rank = 4, .alpha = 8}, 3);
    move_away_from_zero(*model);
  }
  merged->merge_adapters();
  for (const nn::Parameter& parameter : merged->parameters().all())
    at::Tensor(parameter.value).set_requires_grad(true);
  for (const auto& model : {adapted.get(), merged.get()})
    model->loss(model->prepare(documents())).objective.sum().backward();
  std::int64_t compared = 0;
  for (const nn::Parameter& b : adapted->parameters().all()) {
    if (!b.name.ends_with("lora_b")) continue;
    const std::string layer = b.name.substr(0, b.name.size() - std::string("lora_b").size());
    const nn::Parameter& a = *adapted->parameters().find(layer + "lora_a");
    const at::Tensor whole = merged->parameters().find(layer + "weight")->value.grad();
    const auto expect_near = [&](const at::Tensor& got, const at::Tensor& wanted) {
      EXPECT_LT((got - wanted).abs().max().item<double>(), 2e-4 * wanted.abs().max().item<double>() + 1e-6)
          << layer;
    };
    expect_near(b.value.grad(), scale * at::mm(whole, a.value.detach().t()));
    expect_near(a.value.grad(), scale * at::mm(b.value.detach().t(), whole));
    ++compared;
  }
  EXPECT_GE(compared, 8);
}

TEST_P(Adapters, AloneHaveGradients) {
  const auto model = make();
  model->add_adapters({.rank = 2, .layers = {"*.qkv", "single_blocks.?.down"}}, 3);
  move_away_from_zero(*model);
  model->loss(model->prepare(documents())).objective.sum().backward();
  for (const nn::Parameter& parameter : model->parameters().all()) {
    const bool own = nn::LowRankAdapter::owns(parameter);
    EXPECT_EQ(parameter.trainable, own) << parameter.name;
    EXPECT_EQ(parameter.value.grad().defined(), own) << parameter.name;
    if (own)
      EXPECT_TRUE(parameter.name.find("qkv") != std::string::npos ||
                  parameter.name.starts_with("single_blocks"))
          << parameter.name;
  }
}

// By which Muon updates the matrices one by one.
TEST_P(Adapters, StackTheRowsThatTheirWeightsStack) {
  const auto model = make();
  model->add_adapters({.rank = 2}, 3);
  std::int64_t stacked = 0;
  for (const nn::Parameter& b : model->parameters().all()) {
    if (!b.name.ends_with("lora_b")) continue;
    const std::string layer = b.name.substr(0, b.name.size() - std::string("lora_b").size());
    EXPECT_EQ(b.stacked_rows, model->parameters().find(layer + "weight")->stacked_rows) << layer;
    EXPECT_TRUE(model->parameters().find(layer + "lora_a")->stacked_rows.empty()) << layer;
    stacked += !b.stacked_rows.empty();
  }
  EXPECT_GE(stacked, 2);
}

TEST_P(Adapters, DecodeAsTheyCompute) {
  const auto model = make();
  model->add_adapters({.rank = 4}, 3);
  move_away_from_zero(*model);
  const sequence::Document document = random_document(4);
  const sequence::PackedSequence sequence = packed({document}, vocabulary_);
  // Up to the last that has an output in every configuration.
  std::int64_t length = sequence.length();
  while (sequence.streams[length - 1] == sequence::Modality::text) --length;
  std::vector<DecodeToken> tokens = decode_tokens(*model, document);
  tokens.resize(static_cast<std::size_t>(length));
  DecodeSession session(*model, 1, 64, {});
  session.append(std::vector<std::vector<DecodeToken>>{tokens});
  sequence::AllowedTokens every;
  every.add(0, vocabulary_.size());
  const std::vector<std::int64_t> which = {0};
  const auto rows = session.logits(which, std::vector<sequence::AllowedTokens>{every});
  const at::Tensor full = model->logits(sequence)[length - 1];
  for (std::int32_t i = 0; i < vocabulary_.size(); ++i)
    EXPECT_NEAR(rows[0][i], full[i].item<double>(), 1e-3) << i;
}

TEST(AdapterPatterns, ThatMatchNoLayerAreNamed) {
  const sequence::Vocabulary vocabulary = small_vocabulary();
  Transformer model(small_config(), vocabulary, small_layout(), 5, small_codebooks());
  try {
    model.add_adapters({.rank = 2, .layers = {"*.qkv", "*.attention_in"}}, 3);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("'*.attention_in' matches none of 8 names"));
    EXPECT_THAT(error.what(), testing::HasSubstr("'*.attention_out'"));
  }
}

}  // namespace
}  // namespace omni::model
