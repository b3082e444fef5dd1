#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "omni/core/random.h"
#include "omni/geometry/camera.h"
#include "omni/model/decode_session.h"
#include "omni/model/transformer.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::model {

// A small vocabulary and layout with all three modalities, and random documents over them.
inline sequence::Vocabulary small_vocabulary(bool views = false) {
  auto vocabulary = sequence::make_vocabulary({.text = 20, .image = 12, .geometry = 16, .colour = 6});
  if (views) sequence::append_views(vocabulary, {geometry::kAzimuthBins, geometry::kElevationBins});
  return vocabulary;
}

inline sequence::SequenceLayout small_layout() {
  sequence::SequenceLayout layout;
  layout.text_capacity = 8;
  layout.image_grid_side = 2;
  layout.geometry_lengths = {8};
  layout.geometry_grid_side = 2;
  layout.colour_codes = 4;
  return layout;
}

inline TransformerConfig small_config() {
  TransformerConfig config;
  config.width = 64;
  config.single_blocks = 2;
  config.heads = 4;
  config.initial_deviation = 0.3;  // large enough that every part of the network matters
  return config;
}

inline TransformerConfig two_stream_config(const std::string& single_over) {
  TransformerConfig config = small_config();
  config.streams = 2;
  config.dual_blocks = 2;
  config.single_blocks = 1;
  config.single_over = single_over;
  config.rope = "interleaved";
  config.norm = "layer";
  config.norm_scale = false;
  config.bias = true;
  return config;
}

inline std::vector<std::int32_t> random_codes(CounterRng& rng, std::int64_t count, std::int32_t bound) {
  std::vector<std::int32_t> codes;
  for (std::int64_t i = 0; i < count; ++i) codes.push_back(static_cast<std::int32_t>(rng.below(bound)));
  return codes;
}

// text, then an image, then a shape; `text_loss` puts the loss on the text as well.
inline sequence::Document random_document(std::uint64_t seed, bool text_loss = true) {
  CounterRng rng(seed);
  sequence::Document document;
  sequence::Segment text{
      sequence::TextPayload{random_codes(rng, 1 + static_cast<std::int64_t>(rng.below(8)), 20)}};
  text.carries_loss = text_loss;
  sequence::ImagePayload image_payload;
  image_payload.codes = random_codes(rng, 4, 12);
  sequence::Segment image{image_payload};
  image.carries_loss = true;
  image.dropped = rng.chance(0.3);
  sequence::ShapePayload shape_payload;
  shape_payload.size = static_cast<std::int32_t>(rng.below(sequence::kSizeBins));
  shape_payload.geometry = random_codes(rng, 8, 16);
  shape_payload.colour = random_codes(rng, 4, 6);
  sequence::Segment shape{shape_payload};
  shape.carries_loss = true;
  document.segments = {text, image, shape};
  return document;
}

inline sequence::PackedSequence packed(const std::vector<sequence::Document>& documents,
                                       const sequence::Vocabulary& vocabulary) {
  sequence::PackedSequence sequence;
  for (const auto& document : documents)
    sequence::append_document(sequence, document, vocabulary, small_layout());
  return sequence;
}

// A document's tokens as a decode session takes them.
inline std::vector<DecodeToken> decode_tokens(const Transformer& model, const sequence::Document& document) {
  sequence::GrammarWalker walker(model.vocabulary(), model.layout(), sequence::plan_of(document));
  std::vector<DecodeToken> tokens;
  for (const std::int32_t token : sequence::document_tokens(document, model.vocabulary(), model.layout())) {
    DecodeToken next{token, walker.place(), std::nullopt};
    walker.advance(token);
    if (!walker.finished()) next.next_place = walker.place();
    tokens.push_back(next);
  }
  return tokens;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Packed together, documents get the logits that each has alone.
inline void expect_packed_equals_single(const Transformer& model,
                                        const std::vector<sequence::Document>& documents) {
  const at::Tensor together = model.logits(packed(documents, model.vocabulary()));
  std::int64_t first = 0;
  for (const auto& document : documents) {
    const at::Tensor alone = model.logits(packed({document}, model.vocabulary()));
    EXPECT_LT(largest_difference(alone, together.narrow(0, first, alone.size(0))), 1e-5);
    first += alone.size(0);
  }
}

inline std::vector<RangeCodebook> small_codebooks() {
  at::manual_seed(11);
  return {{"image", at::randn({12, 5})}, {"geometry", at::randn({16, 3})}};
}

}  // namespace omni::model
