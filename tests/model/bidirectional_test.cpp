// Conditions whose tokens see all of their segment.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "omni/core/error.h"
#include "omni/model/decode_session.h"
#include "small_world.h"

namespace omni::model {
namespace {

TransformerConfig with_bidirectional(TransformerConfig config) {
  config.bidirectional = {"text", "image"};
  return config;
}

std::vector<TransformerConfig> configs() {
  TransformerConfig no_kernel = small_config();
  no_kernel.heads = 8;
  return {with_bidirectional(small_config()), with_bidirectional(no_kernel),
          with_bidirectional(two_stream_config("all")), with_bidirectional(two_stream_config("generated"))};
}

// Text and image are conditions of a shape.
sequence::Document conditioned_document(std::uint64_t seed) {
  sequence::Document document = random_document(seed, false);
  document.segments[1].carries_loss = document.segments[1].dropped = false;
  return document;
}

std::int64_t first_position(const sequence::PackedSequence& sequence, std::int32_t segment) {
  for (std::int64_t i = 1; i < sequence.length(); ++i)
    if (sequence.segments[i] == segment) return i;
  return -1;
}

class BidirectionalConditions : public testing::TestWithParam<std::size_t> {
 protected:
  BidirectionalConditions()
      : vocabulary(small_vocabulary()), model(configs()[GetParam()], vocabulary, small_layout(), 5) {}
  sequence::Vocabulary vocabulary;
  Transformer model;
};
INSTANTIATE_TEST_SUITE_P(Configs, BidirectionalConditions, testing::Range<std::size_t>(0, 4));

// Where a change of the token at `changed` shows: the first position whose logits differ.
std::int64_t first_change(const Transformer& model, sequence::PackedSequence sequence, std::int64_t changed,
                          std::string_view range) {
  const at::Tensor before = model.logits(sequence);
  const sequence::TokenRange& codes = model.vocabulary().range(range);
  sequence.tokens[changed] = codes.first + (sequence.tokens[changed] - codes.first + 1) % codes.size;
  const at::Tensor differs = (before - model.logits(sequence)).abs().amax(1).gt(1e-6);
  return differs.to(at::kInt).argmax().item<std::int64_t>();
}

TEST_P(BidirectionalConditions, ASegmentSeesAllOfItselfAndNothingLater) {
  const sequence::PackedSequence sequence = packed({conditioned_document(1)}, vocabulary);
  const std::int64_t image = first_position(sequence, 1), shape = first_position(sequence, 2);
  const std::int64_t last_image_code = shape - 2, last_colour_code = sequence.length() - 3;
  EXPECT_EQ(first_change(model, sequence, last_image_code, "image"), image);
  EXPECT_EQ(first_change(model, sequence, last_colour_code, "colour"), last_colour_code);
}

TEST_P(BidirectionalConditions, PackedDocumentsEqualSingleOnes) {
  expect_packed_equals_single(model, {conditioned_document(1), conditioned_document(2)});
}

TEST_P(BidirectionalConditions, CachedDecodingEqualsFullRecomputation) {
  const sequence::Document document = conditioned_document(4);
  const sequence::PackedSequence sequence = packed({document}, vocabulary);
  const std::vector<DecodeToken> tokens = decode_tokens(model, document);
  const at::Tensor full = model.logits(sequence);
  const auto prefix = static_cast<std::size_t>(first_position(sequence, 2)) + 1;
  // The second sequence is a copy of the first one's prefix.
  DecodeSession session(model, 2, 64);
  session.append(std::vector<std::vector<DecodeToken>>{{tokens.begin(), tokens.begin() + prefix}, {}});
  session.copy_sequence(0, 1);
  for (std::size_t done = prefix; done < tokens.size(); ++done) {
    const sequence::AllowedTokens& allowed = sequence.allowed_sets[sequence.allowed[done - 1]];
    const std::vector<std::int64_t> both = {0, 1};
    const auto rows = session.logits(both, std::vector<sequence::AllowedTokens>{allowed, allowed});
    if (allowed.count() > 1) {
      for (const std::vector<float>& row : rows)
        for (std::int32_t i = 0; i < allowed.count(); ++i)
          EXPECT_NEAR(row[i], full[done - 1][allowed.token(i)].item<float>(), 1e-4) << done;
    }
    session.append(std::vector<std::vector<DecodeToken>>{{tokens[done]}, {tokens[done]}});
  }
}

TEST(BidirectionalConfig, WhatIsGeneratedCannotSeeItself) {
  TransformerConfig config = small_config();
  config.bidirectional = {"text"};
  EXPECT_NO_THROW(check_task(config, sequence::built_in_task("text->shape")));
  try {
    check_task(config, sequence::built_in_task("shape->text"));
    FAIL() << "a task that generates a bidirectional modality was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("task 'shape->text' generates text"), std::string::npos);
  }
}

}  // namespace
}  // namespace omni::model
