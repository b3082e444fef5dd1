#pragma once

#include <cmath>
#include <vector>

#include "omni/core/random.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::benchmarks {

// What benchmarks of the transformer train on and decode: captions of 25 to 44 tokens, then shapes of a cube
// of `geometry` codes and 27 colour codes.

inline sequence::SequenceLayout layout(std::int64_t geometry = 64) {
  sequence::SequenceLayout result;
  result.text_capacity = 48;
  result.image_grid_side = 8;
  result.geometry_lengths = {geometry};
  result.geometry_grid_side = std::llround(std::cbrt(geometry));
  result.colour_codes = 27;
  result.colour_grid_side = 3;
  return result;
}

inline std::vector<std::int32_t> random_codes(CounterRng& rng, std::int64_t count, std::uint64_t bound) {
  std::vector<std::int32_t> codes;
  for (std::int64_t i = 0; i < count; ++i) codes.push_back(static_cast<std::int32_t>(rng.below(bound)));
  return codes;
}

inline sequence::Document caption_to_shape(CounterRng& rng, std::int64_t geometry = 64) {
  sequence::ShapePayload shape;
  shape.size = static_cast<std::int32_t>(rng.below(64));
  for (auto& box : shape.box) box = static_cast<std::int32_t>(rng.below(32));
  shape.geometry = random_codes(rng, geometry, 512);
  shape.colour = random_codes(rng, 27, 256);
  sequence::Segment target{shape};
  target.carries_loss = true;
  return {{sequence::Segment{
               sequence::TextPayload{random_codes(rng, 25 + static_cast<std::int64_t>(rng.below(20)), 1024)}},
           target}};
}

// Such documents end to end, `tokens` at least.
inline sequence::PackedSequence packed_documents(CounterRng& rng, std::int64_t tokens, std::int64_t geometry,
                                                 const sequence::Vocabulary& vocabulary,
                                                 const sequence::SequenceLayout& layout) {
  sequence::PackedSequence packed;
  while (packed.length() < tokens)
    sequence::append_document(packed, caption_to_shape(rng, geometry), vocabulary, layout);
  return packed;
}

inline sequence::Vocabulary vocabulary() {
  return sequence::make_vocabulary({.text = 1024, .image = 512, .geometry = 512, .colour = 256});
}

}  // namespace omni::benchmarks
