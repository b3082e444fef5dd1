// Prompts of so many tokens that they go through plain matrix products where these are the faster ones.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "small_world.h"

namespace omni::model {
namespace {

constexpr std::int64_t kLong = 300, kShort = 20;

std::vector<DecodeToken> prompt(const Transformer& model, std::uint64_t seed, std::int64_t length) {
  CounterRng rng(seed);
  const sequence::TokenRange& codes = model.vocabulary().range(sequence::kRangeGeometry);
  std::vector<DecodeToken> tokens;
  for (std::int64_t i = 0; i < length; ++i) {
    sequence::TokenPlace place;
    place.modality = sequence::Modality::shape;
    place.offset = static_cast<std::int32_t>(i);
    tokens.push_back({codes.first + static_cast<std::int32_t>(rng.below(codes.size)), place, {}});
  }
  return tokens;
}

// [sequences, vocabulary] after prompts that begin side by side.
at::Tensor logits_after(const Transformer& model, const std::string& precision,
                        const std::vector<std::vector<DecodeToken>>& prompts) {
  DecodeSession session(model, static_cast<std::int64_t>(prompts.size()), kLong + 1,
                        parse_decode_precision(precision));
  std::vector<DecodePrompt> given;
  std::vector<std::int64_t> sequences;
  for (const auto& tokens : prompts) {
    given.push_back({.tokens = tokens});
    sequences.push_back(static_cast<std::int64_t>(sequences.size()));
  }
  session.prefill(given);
  sequence::AllowedTokens all;
  all.add(0, model.vocabulary().size());
  std::vector<at::Tensor> rows;
  for (const std::vector<float>& row :
       session.logits(sequences, std::vector<sequence::AllowedTokens>(sequences.size(), all)))
    rows.push_back(at::tensor(row));
  return at::stack(rows);
}

// Of the last row, by the layers of training.
at::Tensor full_context(const Transformer& model, const std::vector<DecodeToken>& tokens) {
  sequence::PackedSequence packed;
  for (const DecodeToken& token : tokens) {
    packed.tokens.push_back(token.token);
    packed.streams.push_back(token.place.modality);
    packed.offsets.push_back(token.place.offset);
    for (auto* zeros : {&packed.segments, &packed.rows, &packed.columns, &packed.slots}) zeros->push_back(0);
  }
  packed.document_starts = {0, packed.length()};
  return model.logits(packed)[packed.length() - 1];
}

class LongPrompt : public testing::TestWithParam<int> {
 protected:
  static std::unique_ptr<Transformer> made() {
    TransformerConfig config = GetParam() == 0 ? small_config() : two_stream_config("generated");
    config.slot_embedding = false;
    return std::make_unique<Transformer>(config, small_vocabulary(), small_layout(), 3);
  }
};
INSTANTIATE_TEST_SUITE_P(Streams, LongPrompt, testing::Values(0, 1));

TEST_P(LongPrompt, HasTheLogitsOfFullContext) {
  const c10::NoGradGuard guard;
  const std::unique_ptr<Transformer> owned = made();
  const Transformer& model = *owned;
  const std::vector<DecodeToken> tokens = prompt(model, 5, kLong);
  const at::Tensor wanted = full_context(model, tokens);
  const auto largest = [&](const char* precision) {
    return (logits_after(model, precision, {tokens})[0] - wanted).abs().max().item<double>();
  };
  EXPECT_LT(largest("fp32"), 1e-4);
  EXPECT_LT(largest("bf16"), 0.03 * wanted.abs().max().item<double>());
}

TEST_P(LongPrompt, DoesNotDependOnWhatIsBesideIt) {
  const c10::NoGradGuard guard;
  const std::unique_ptr<Transformer> owned = made();
  const Transformer& model = *owned;
  const std::vector<std::vector<DecodeToken>> prompts = {
      prompt(model, 1, kShort), prompt(model, 2, kLong), prompt(model, 3, kShort),
      prompt(model, 4, kLong - kShort), prompt(model, 6, kLong)};
  for (const char* precision : {"fp32", "bf16", "int8"}) {
    const at::Tensor together = logits_after(model, precision, prompts);
    for (std::size_t i = 0; i < prompts.size(); ++i)
      EXPECT_TRUE(
          together[static_cast<std::int64_t>(i)].equal(logits_after(model, precision, {prompts[i]})[0]))
          << precision << ", prompt " << i;
  }
}

}  // namespace
}  // namespace omni::model
