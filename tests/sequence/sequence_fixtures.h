#pragma once

#include "omni/core/random.h"
#include "omni/sequence/grammar.h"

namespace omni::sequence::testing {

inline SequenceLayout small_layout() {
  return {.text_capacity = 5,
          .image_grid_side = 2,
          .geometry_lengths = {2, 4, 8},
          .geometry_grid_side = 2,
          .colour_codes = 3,
          .colour_grid_side = 0};
}

inline constexpr ViewBins kViewBins = {24, 7};

inline Vocabulary small_vocabulary(bool views = true) {
  return make_vocabulary(
      {.text = 11, .image = 7, .geometry = 9, .colour = 6, .views = views ? kViewBins : ViewBins{}});
}

inline Segment text_segment(std::vector<std::int32_t> tokens, bool loss = false) {
  return {.payload = TextPayload{std::move(tokens)}, .carries_loss = loss};
}

inline std::vector<std::int32_t> random_codes(std::int64_t count, std::int32_t size, CounterRng& rng) {
  std::vector<std::int32_t> codes(static_cast<std::size_t>(count));
  for (std::int32_t& code : codes)
    code = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(size)));
  return codes;
}

inline std::optional<std::int32_t> random_bin(std::int32_t size, CounterRng& rng) {
  if (rng.chance(0.3)) return std::nullopt;
  return static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(size)));
}

inline Segment random_segment(Modality modality, const Vocabulary& vocabulary, const SequenceLayout& layout,
                              CounterRng& rng) {
  Segment segment;
  const auto size = [&](std::string_view range) { return vocabulary.range(range).size; };
  if (modality == Modality::text) {
    const auto count = rng.below(static_cast<std::uint64_t>(layout.text_capacity) + 1);
    segment.payload = TextPayload{random_codes(static_cast<std::int64_t>(count), size(kRangeText), rng)};
  } else if (modality == Modality::image) {
    ImagePayload image;
    if (vocabulary.has(kRangeAzimuth)) {
      image.azimuth = random_bin(kViewBins.azimuth, rng);
      image.elevation = random_bin(kViewBins.elevation, rng);
    }
    image.codes = random_codes(layout.image_codes(), size(kRangeImage), rng);
    segment.payload = image;
  } else {
    ShapePayload shape;
    shape.size = random_bin(kSizeBins, rng);
    for (auto& extent : shape.box) extent = random_bin(kBoxBins, rng);
    const auto length = layout.geometry_lengths[rng.below(layout.geometry_lengths.size())];
    shape.geometry = random_codes(length, size(kRangeGeometry), rng);
    if (layout.colour_codes > 0 && rng.chance(0.5)) {
      shape.colour = random_codes(layout.colour_codes, size(kRangeColour), rng);
    }
    segment.payload = shape;
  }
  segment.carries_loss = rng.chance(0.5);
  return segment;
}

inline Document random_document(const Vocabulary& vocabulary, const SequenceLayout& layout, CounterRng& rng) {
  Document document;
  const auto count = 1 + rng.below(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    document.segments.push_back(random_segment(static_cast<Modality>(rng.below(3)), vocabulary, layout, rng));
  }
  return document;
}

}  // namespace omni::sequence::testing
