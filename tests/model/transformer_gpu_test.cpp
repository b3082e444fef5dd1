// The transformer on a GPU against the same transformer on the processor.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "omni/model/decode_session.h"
#include "omni/model/transformer.h"
#include "small_world.h"
#include "test_device.h"

namespace omni::model {
namespace {

struct Case {
  std::string name;
  TransformerConfig config;
};

// Head sizes with and without a kernel, one and two streams, and what else changes the way through the
// network.
std::vector<Case> cases() {
  TransformerConfig kernel = small_config(), grouped, bidirectional, streams = two_stream_config("all"),
                    dropping = two_stream_config("generated");
  kernel.width = 128;
  kernel.heads = 2;
  grouped = bidirectional = kernel;
  grouped.heads = 8;
  grouped.width = 512;
  grouped.key_value_heads = 2;
  grouped.tied_embeddings = false;
  bidirectional.bidirectional = {"text"};
  bidirectional.rope_split = {32, 16, 16};
  streams.width = dropping.width = 128;
  streams.heads = dropping.heads = 2;
  return {{"HeadsOf16", small_config()},
          {"HeadsOf64", kernel},
          {"GroupedQueries", grouped},
          {"BidirectionalText", bidirectional},
          {"TwoStreams", streams},
          {"TwoStreamsGeneratedAlone", two_stream_config("generated")},
          {"GeneratedAloneHeadsOf64", dropping}};
}

class TransformerGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!test::device_refusal().empty()) GTEST_SKIP() << test::device_refusal();
    here_ =
        std::make_unique<Transformer>(GetParam().config, vocabulary_, small_layout(), 5, small_codebooks());
    there_ =
        std::make_unique<Transformer>(GetParam().config, vocabulary_, small_layout(), 5, small_codebooks());
    there_->to(test::device());
  }
  // Texts carry loss where the model gives them output, and are causal.
  bool text_loss() const {
    const TransformerConfig& config = GetParam().config;
    return config.single_over == "all" && !config.is_bidirectional(sequence::Modality::text);
  }
  sequence::PackedSequence sequence() const {
    std::vector<sequence::Document> documents;
    for (int seed = 1; seed <= 12; ++seed) documents.push_back(random_document(seed, text_loss()));
    return packed(documents, vocabulary_);
  }
  struct Result {
    double objective = 0;
    at::Tensor position_losses;
    std::map<std::string, at::Tensor> gradients;
  };
  Result differentiate(Transformer& model) const {
    model.parameters().zero_gradients();
    const TransformerLoss loss = model.loss(model.prepare(sequence()), {.z_loss = 0.01});
    const at::Tensor objective = loss.objective.sum();
    objective.backward();
    Result result{objective.item<double>(), loss.position_cross_entropy.cpu(), {}};
    for (const nn::Parameter& parameter : model.parameters().all())
      if (parameter.trainable) result.gradients[parameter.name] = parameter.value.grad();
    return result;
  }
  void expect_near(const Result& computed, const Result& expected, double tolerance) const {
    EXPECT_NEAR(computed.objective / expected.objective, 1, tolerance);
    EXPECT_LT(test::relative_error(computed.position_losses, expected.position_losses), tolerance);
    double largest = 0;
    for (const auto& [name, gradient] : expected.gradients)
      largest = std::max(largest, gradient.norm().item<double>());
    for (const auto& [name, gradient] : expected.gradients) {
      const at::Tensor& own = computed.gradients.at(name);
      ASSERT_TRUE(own.defined()) << name;
      EXPECT_EQ(own.device(), there_->parameters().find(name)->value.device()) << name;
      // What is next to nothing beside the rest may be rounded away.
      if (gradient.norm().item<double>() < 1e-3 * largest) continue;
      EXPECT_LT(test::relative_error(own, gradient), tolerance) << name;
    }
  }

  sequence::Vocabulary vocabulary_ = small_vocabulary();
  std::unique_ptr<Transformer> here_, there_;
};
INSTANTIATE_TEST_SUITE_P(Configs, TransformerGpu, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// Sums are taken in another order: 24 bits of mantissa, some hundred terms.
TEST_P(TransformerGpu, LossAndGradientsAreTheProcessors) {
  const Result expected = differentiate(*here_);
  expect_near(differentiate(*there_), expected, 1e-4);
  there_->set_recompute(true);
  expect_near(differentiate(*there_), expected, 1e-4);
}

// 8 bits of mantissa in every activation.
TEST_P(TransformerGpu, LossAndGradientsInHalfPrecisionAreNear) {
  const Result expected = differentiate(*here_);
  there_->set_activation_type(at::kBFloat16);
  expect_near(differentiate(*there_), expected, 0.1);
  there_->set_recompute(true);
  expect_near(differentiate(*there_), expected, 0.1);
}

// The kernels that take the place of LibTorch's calls where they are asked for.
TEST_P(TransformerGpu, LossAndGradientsByFusedKernelsAreTheProcessors) {
  const Result expected = differentiate(*here_);
  there_->set_fused_kernels(kernels::FusedKernels({"all"}));
  expect_near(differentiate(*there_), expected, 1e-4);
  there_->set_recompute(true);
  expect_near(differentiate(*there_), expected, 1e-4);
  there_->set_activation_type(at::kBFloat16);
  expect_near(differentiate(*there_), expected, 0.1);
}

// Steps of plain descent: copies of the weights in the type of the activations follow the weights.
TEST_P(TransformerGpu, ChangedWeightsAreSeen) {
  there_->set_activation_type(at::kBFloat16);
  const double before = differentiate(*there_).objective;
  const c10::NoGradGuard guard;
  for (const nn::Parameter& parameter : there_->parameters().all())
    if (parameter.trainable) at::Tensor(parameter.value).sub_(parameter.value.grad(), 1e-4);
  EXPECT_LT(there_->loss(there_->prepare(sequence())).objective.sum().item<double>(), before);
}

// Logits token by token through the cache, of a prompt that two sequences share, against all at once on the
// processor.
TEST_P(TransformerGpu, CachedDecodingIsNearTheProcessorsFullPass) {
  const sequence::Document document = random_document(4, text_loss());
  const std::vector<DecodeToken> tokens = decode_tokens(*here_, document);
  const sequence::PackedSequence whole = packed({document}, vocabulary_);
  const at::Tensor expected = here_->logits(whole);
  std::size_t prompt = 0;  // all of the text, which may have to come at once
  while (tokens[prompt].place.segment == 0) ++prompt;
  for (const std::string precision : {"fp32", "bf16", "int8"}) {
    SCOPED_TRACE(precision);
    there_->set_activation_type(precision == "fp32" ? at::kFloat : at::kBFloat16);
    DecodeSession session(*there_, 2, 64, parse_decode_precision(precision));
    const bool has_kernels = GetParam().config.attention_head_size() == 64 && !test::rehearsing();
    EXPECT_EQ(session.steps_on_device(), has_kernels && precision != "fp32");
    session.append(std::vector<std::vector<DecodeToken>>{{tokens.begin(), tokens.begin() + prompt}, {}});
    session.copy_sequence(0, 1);
    double squares = 0, total = 0;
    for (std::size_t i = prompt; i < tokens.size(); ++i) {
      session.append(std::vector<std::vector<DecodeToken>>(2, {tokens[i]}));
      const std::int32_t set = whole.allowed[i];
      if (set < 0 || whole.allowed_sets[set].count() == 1) continue;
      const sequence::AllowedTokens& allowed = whole.allowed_sets[set];
      const std::vector<std::int64_t> both = {0, 1};
      const auto rows = session.logits(both, std::vector<sequence::AllowedTokens>(2, allowed));
      for (const std::vector<float>& row : rows)
        for (std::int32_t k = 0; k < allowed.count(); ++k) {
          const double exact = expected[static_cast<std::int64_t>(i)][allowed.token(k)].item<double>();
          squares += (row[k] - exact) * (row[k] - exact);
          total += exact * exact;
        }
    }
    ASSERT_GT(total, 0);
    EXPECT_LT(std::sqrt(squares / total), precision == "fp32"   ? 1e-4
                                          : precision == "bf16" ? 1.0 / 16
                                                                : 1.0 / 8);
  }
}

// Whether a row takes the step or the layers depends on its neighbours, so both multiply the same weights.
TEST_P(TransformerGpu, WeightsInBytesAreThoseInHalves) {
  if (test::rehearsing()) GTEST_SKIP() << "a processor multiplies bytes";
  const std::vector<DecodeToken> tokens = decode_tokens(*here_, random_document(4, text_loss()));
  std::size_t prompt = 0;
  while (tokens[prompt].place.segment == 0) ++prompt;
  there_->set_activation_type(at::kBFloat16);
  sequence::AllowedTokens all;
  all.add(0, vocabulary_.size());
  const auto last_logits = [&](kernels::DecodeFormat weights) {
    DecodeSession session(*there_, 1, 64, {weights, kernels::CacheType::bf16});
    session.append(std::vector<std::vector<DecodeToken>>(1, {tokens.begin(), tokens.begin() + prompt}));
    for (std::size_t i = prompt; i < prompt + 3; ++i)
      session.append(std::vector<std::vector<DecodeToken>>(1, {tokens[i]}));
    return session.logits(std::vector<std::int64_t>{0}, std::vector<sequence::AllowedTokens>{all})[0];
  };
  EXPECT_EQ(last_logits(kernels::DecodeFormat::int8), last_logits(kernels::DecodeFormat::bf16));
}

// Eight sequences may take the step and its product with the head, nine may not. Sums are taken in another
// order; a head in fp32 would differ by 8 bits of mantissa in every weight.
TEST_P(TransformerGpu, LogitsAreThoseOfOneHeadBesideAnyNeighbours) {
  if (test::rehearsing()) GTEST_SKIP() << "a processor has one way alone";
  const sequence::Document document = random_document(4, text_loss());
  std::size_t prompt = 0;
  sequence::AllowedTokens all;
  all.add(0, vocabulary_.size());
  Transformer without(GetParam().config, vocabulary_, small_layout(), 5);
  without.to(test::device());
  for (Transformer* model : {there_.get(), &without}) {
    SCOPED_TRACE(model == &without ? "without codebooks" : "with codebooks");
    model->set_activation_type(at::kBFloat16);
    std::vector<DecodeToken> tokens = decode_tokens(*model, document);
    while (tokens[prompt].place.segment == 0) ++prompt;
    tokens.resize(prompt + 3);  // several at once, by one sequence: layer by layer in both sessions
    for (const std::string precision : {"bf16", "int8"}) {
      SCOPED_TRACE(precision);
      const auto last_logits = [&](std::int64_t sequences) {
        DecodeSession session(*model, sequences, 64, parse_decode_precision(precision));
        EXPECT_EQ(session.steps_on_device(), sequences == 8 && GetParam().config.attention_head_size() == 64);
        std::vector<std::vector<DecodeToken>> given(static_cast<std::size_t>(sequences));
        given[0] = tokens;
        session.append(given);
        return at::tensor(session.logits(std::vector<std::int64_t>{0}, {&all, 1})[0]);
      };
      EXPECT_LT(test::relative_error(last_logits(9), last_logits(8)), 1e-5);
    }
  }
}

// What the end of a training run does: the folded model, on the processor again, has the same logits.
TEST_P(TransformerGpu, FoldingAndComingBackKeepsTheFunction) {
  const at::Tensor expected = here_->logits(sequence());
  there_->fold_codebooks();
  there_->to(at::kCPU);
  EXPECT_LT(test::relative_error(there_->logits(sequence()), expected), 1e-4);
}

}  // namespace
}  // namespace omni::model
