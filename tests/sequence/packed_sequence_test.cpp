#include "omni/sequence/packed_sequence.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "omni/core/error.h"
#include "sequence_fixtures.h"

namespace omni::sequence {
namespace {

using namespace testing;

std::vector<float> weights_of(const Document& document, const Vocabulary& vocabulary,
                              const SequenceLayout& layout) {
  PackedSequence sequence;
  append_document(sequence, document, vocabulary, layout);
  return sequence.loss_weights;
}

TEST(PackedSequence, LossWeightsOfATextToShapeDocument) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const Document document = {
      {text_segment({1, 2}),
       {.payload =
            ShapePayload{.size = 3, .box = {1, std::nullopt, 2}, .geometry = {5, 6}, .colour = {1, 2, 3}},
        .carries_loss = true}}};
  // Weight i belongs to the target of position i, the token after it:
  // <text> a b </text> | <shape> size x y(any) z detail g g c c c </shape> <eos> -
  const std::vector<float> expected = {0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  EXPECT_EQ(weights_of(document, vocabulary, layout), expected);
}

TEST(PackedSequence, FeaturesTakeThePlacesOfAConditionsTokensAndOfItsEnd) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const Segment image = {.payload = ImagePayload{.azimuth = {}, .elevation = {}, .codes = {1, 2, 3, 4}}};
  Segment dropped = text_segment({7});
  dropped.dropped = true;
  const Document document = {
      {text_segment({1, 2}), image, text_segment({}), dropped, text_segment({3, 4}, /*loss=*/true)}};
  const ConditionFeatures features{3, [](const std::vector<std::int32_t>& tokens) {
                                     return std::vector<float>(2 * (tokens.size() + 1),
                                                               static_cast<float>(tokens.size()));
                                   }};
  PackedSequence plain, sequence;
  for (int i = 0; i < 2; ++i) {
    append_document(plain, document, vocabulary, layout);
    append_document(sequence, document, vocabulary, layout, 1000, &features);
  }
  // <bos> <text> a b </text> <image> azimuth elevation 4 codes </image> <text> </text> ...
  const std::int64_t second = sequence.document_starts[1];
  const std::vector<FeatureRows> expected = {
      {2, 3, {2, 2, 2, 2, 2, 2}},
      {14, 3, {0, 0}},
      {second + 2, 3, {2, 2, 2, 2, 2, 2}},
      {second + 14, 3, {0, 0}},
  };
  EXPECT_EQ(sequence.features, expected);
  for (const FeatureRows& rows : sequence.features)
    EXPECT_EQ(sequence.tokens[static_cast<std::size_t>(rows.first) + rows.values.size() / 2 - 1], kTextEnd);
  // All else is as it is without them.
  sequence.features.clear();
  EXPECT_EQ(sequence, plain);

  const ConditionFeatures broken{0, [](const std::vector<std::int32_t>&) -> std::vector<float> {
                                   throw Error(ErrorKind::io, "no disk");
                                 }};
  EXPECT_THROW(append_document(sequence, document, vocabulary, layout, 1000, &broken), Error);
  EXPECT_EQ(sequence, plain);
  // What does not fit is not asked for.
  EXPECT_FALSE(append_document(sequence, document, vocabulary, layout, plain.length() + 1, &broken));
}

TEST(PackedSequence, ASingleOfferedLengthIsNoChoice) {
  SequenceLayout layout = small_layout();
  layout.geometry_lengths = {8};
  const Vocabulary vocabulary = small_vocabulary();
  const Document document = {
      {{.payload = ShapePayload{.size = 3, .box = {1, 1, 1}, .geometry = {1, 2, 3, 4, 5, 6, 7, 8}},
        .carries_loss = true}}};
  // <shape> size x y z detail 8 codes </shape> <eos> -
  const std::vector<float> expected = {0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
  EXPECT_EQ(weights_of(document, vocabulary, layout), expected);
}

TEST(PackedSequence, TheEndOfATextIsLearntUnlessTheCapacityForcesIt) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  EXPECT_EQ(weights_of({{text_segment({1, 2}, true)}}, vocabulary, layout),
            (std::vector<float>{0, 1, 1, 1, 0, 0}));
  EXPECT_EQ(weights_of({{text_segment({1, 2, 3, 4, 5}, true)}}, vocabulary, layout),
            (std::vector<float>{0, 1, 1, 1, 1, 1, 0, 0, 0}));
}

TEST(PackedSequence, DroppedSegmentsCarryNoLoss) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  Document document = {{text_segment({1, 2}, true)}};
  document.segments[0].dropped = true;
  EXPECT_EQ(weights_of(document, vocabulary, layout), (std::vector<float>{0, 0, 0, 0, 0}));
}

TEST(PackedSequence, EveryTargetIsAllowedAndEveryFieldLinesUp) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  PackedSequence sequence;
  CounterRng rng(7);
  std::vector<std::int64_t> starts = {0};
  for (int i = 0; i < 200; ++i) {
    Document document = random_document(vocabulary, layout, rng);
    if (rng.chance(0.3)) document.segments.front().dropped = true;
    append_document(sequence, document, vocabulary, layout);
    starts.push_back(starts.back() +
                     static_cast<std::int64_t>(document_tokens(document, vocabulary, layout).size()));
  }
  EXPECT_EQ(sequence.document_starts, starts);
  EXPECT_EQ(sequence.document_count(), 200);
  const auto length = static_cast<std::size_t>(sequence.length());
  for (const std::size_t size :
       {sequence.streams.size(), sequence.segments.size(), sequence.offsets.size(), sequence.rows.size(),
        sequence.columns.size(), sequence.slots.size(), sequence.targets.size(), sequence.loss_weights.size(),
        sequence.target_modalities.size(), sequence.allowed.size()}) {
    EXPECT_EQ(size, length);
  }
  for (std::size_t i = 0; i < length; ++i) {
    if (sequence.tokens[i] == kEos) {
      EXPECT_EQ(sequence.targets[i], -1);
      EXPECT_EQ(sequence.allowed[i], -1);
      EXPECT_EQ(sequence.loss_weights[i], 0);
      continue;
    }
    ASSERT_LT(i + 1, length);
    EXPECT_EQ(sequence.targets[i], sequence.tokens[i + 1]);
    EXPECT_EQ(sequence.target_modalities[i], sequence.streams[i + 1]);
    ASSERT_GE(sequence.allowed[i], 0);
    EXPECT_TRUE(
        sequence.allowed_sets[static_cast<std::size_t>(sequence.allowed[i])].contains(sequence.targets[i]));
  }
  for (std::size_t a = 0; a < sequence.allowed_sets.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_NE(sequence.allowed_sets[a], sequence.allowed_sets[b]);
  }
}

TEST(PackedSequence, LaterTextMovesNoPosition) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  const Segment image = {.payload = ImagePayload{.codes = {1, 2, 3, 4}}};
  PackedSequence a, b;
  append_document(a, {{text_segment({1}), image}}, vocabulary, layout);
  append_document(b, {{text_segment({1, 2, 3, 4, 5}), image}}, vocabulary, layout);
  const auto tail = [](const std::vector<std::int32_t>& values) {
    return std::vector<std::int32_t>(values.end() - 9, values.end());
  };
  EXPECT_EQ(tail(a.offsets), tail(b.offsets));
  EXPECT_EQ(tail(a.slots), tail(b.slots));
}

PackedSequence text_and_shape() {
  const Document document = {
      {text_segment({1, 2}),
       {.payload = ShapePayload{.size = 3, .box = {1, 1, 2}, .geometry = {5, 6}}, .carries_loss = true}}};
  PackedSequence sequence;
  append_document(sequence, document, small_vocabulary(), small_layout());
  return sequence;
}

TEST(PackedSequence, PaddingFillsBothStreamsAndChangesNothingElse) {
  const PackedSequence before = text_and_shape();
  PackedSequence sequence = before;
  pad_streams(sequence, 40);
  EXPECT_EQ(sequence.length(), 80);
  EXPECT_EQ(std::count(sequence.streams.begin(), sequence.streams.end(), Modality::text), 40);
  EXPECT_EQ(sequence.allowed_sets, before.allowed_sets);
  EXPECT_TRUE(std::is_sorted(sequence.document_starts.begin(), sequence.document_starts.end()));
  EXPECT_EQ(sequence.document_starts.back(), 80);
  for (std::size_t i = 0; i < before.document_starts.size(); ++i)
    EXPECT_EQ(sequence.document_starts[i], before.document_starts[i]);
  for (std::size_t i = 0; i < 80; ++i) {
    if (i < before.tokens.size()) {
      EXPECT_EQ(sequence.tokens[i], before.tokens[i]);
      EXPECT_EQ(sequence.loss_weights[i], before.loss_weights[i]);
    } else {
      EXPECT_EQ(sequence.loss_weights[i], 0);
      EXPECT_EQ(sequence.targets[i], -1);
    }
  }
  const PackedSequence padded = sequence;
  pad_streams(sequence, 40);
  EXPECT_EQ(sequence, padded);
}

TEST(PackedSequence, PaddingLeavesNothingEmpty) {
  const auto generated = [](const PackedSequence& sequence) {
    return sequence.length() - std::count(sequence.streams.begin(), sequence.streams.end(), Modality::text);
  };
  PackedSequence sequence;
  pad_streams(sequence, 8);
  EXPECT_EQ(sequence.length(), 8);
  EXPECT_EQ(sequence.document_starts.back(), 8);
  pad_streams(sequence, 8, true);
  EXPECT_EQ(sequence.length(), 16);
  EXPECT_EQ(generated(sequence), 8);
  pad_streams(sequence, 8, true);
  EXPECT_EQ(sequence.length(), 16);
}

TEST(PackedSequence, StreamsAreFilledUpToWhatIsAskedFor) {
  const PackedSequence before = text_and_shape();
  PackedSequence sequence = before;
  fill_streams(sequence, 37, 90);
  EXPECT_EQ(text_positions(sequence), 37);
  EXPECT_EQ(sequence.length(), 127);
  EXPECT_EQ(sequence.document_starts.back(), 127);
  EXPECT_TRUE(std::is_sorted(sequence.document_starts.begin(), sequence.document_starts.end()));
  for (std::size_t i = 0; i < sequence.tokens.size(); ++i)
    EXPECT_EQ(sequence.loss_weights[i], i < before.tokens.size() ? before.loss_weights[i] : 0);
  const PackedSequence filled = sequence;
  fill_streams(sequence, 37, 90);
  EXPECT_EQ(sequence, filled);
  EXPECT_THROW(fill_streams(sequence, 36, 90), Error);
}

TEST(PackedSequence, ABadDocumentLeavesItAsItWas) {
  const SequenceLayout layout = small_layout();
  const Vocabulary vocabulary = small_vocabulary();
  PackedSequence sequence;
  append_document(sequence, {{text_segment({1})}}, vocabulary, layout);
  const PackedSequence before = sequence;
  EXPECT_THROW(append_document(sequence, {{text_segment({99})}}, vocabulary, layout), Error);
  EXPECT_EQ(sequence, before);
}

}  // namespace
}  // namespace omni::sequence
