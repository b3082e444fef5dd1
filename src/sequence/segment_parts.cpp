#include "omni/sequence/segment_parts.h"

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

// The parts of all modalities, in the order in which they stand in a segment. Slots are parts of trained
// models: a new part must have none where an old model's layout or vocabulary does not ask for it.
std::vector<SegmentPart> rows(const SequenceLayout& layout) {
  constexpr Modality text = Modality::text, image = Modality::image, shape = Modality::shape;
  constexpr PartKind control = PartKind::control, detail = PartKind::detail, codes = PartKind::codes;
  const auto count = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  return {
      {.modality = text,
       .name = "token",
       .range = kRangeText,
       .kind = codes,
       .field = &TextPayload::tokens,
       .slots = count(layout.text_capacity),
       .length = PartLength::until_closing},

      {.modality = image,
       .name = "azimuth",
       .range = kRangeAzimuth,
       .kind = control,
       .field = &ImagePayload::azimuth,
       .slots = 1},
      {.modality = image,
       .name = "elevation",
       .range = kRangeElevation,
       .kind = control,
       .field = &ImagePayload::elevation,
       .slots = 1},
      {.modality = image,
       .name = "image code",
       .range = kRangeImage,
       .kind = codes,
       .field = &ImagePayload::codes,
       .slots = count(layout.image_codes()),
       .side = count(layout.image_grid_side)},

      {.modality = shape,
       .name = "size",
       .range = kRangeSize,
       .kind = control,
       .field = &ShapePayload::size,
       .slots = 1},
      {.modality = shape,
       .name = "box",
       .range = kRangeBox,
       .kind = control,
       .field = &ShapePayload::box,
       .slots = 3},
      {.modality = shape, .name = "detail", .range = kRangeDetail, .kind = detail, .field = {}, .slots = 1},
      {.modality = shape,
       .name = "geometry code",
       .range = kRangeGeometry,
       .kind = codes,
       .field = &ShapePayload::geometry,
       .slots = count(layout.geometry_capacity()),
       .length = PartLength::by_detail,
       .side = count(layout.geometry_grid_side)},
      {.modality = shape,
       .name = "colour code",
       .range = kRangeColour,
       .kind = codes,
       .field = &ShapePayload::colour,
       .slots = count(layout.colour_codes),
       .optional = true,
       .side = count(layout.colour_grid_side)},
  };
}

}  // namespace

SegmentParts::SegmentParts(const Vocabulary& vocabulary, const SequenceLayout& layout)
    : parts_(rows(layout)) {
  spans_.fill(2);
  for (SegmentPart& part : parts_) {
    const auto modality = static_cast<std::size_t>(part.modality);
    part.first_slot = spans_[modality] - 1;
    spans_[modality] += part.slots;
    ++starts_[modality + 1];
    if (const TokenRange* range = vocabulary.find(part.range)) {
      part.first_token = range->first;
      part.token_count = range->size;
    }
  }
  for (std::size_t i = 0; i < kModalityCount; ++i) starts_[i + 1] += starts_[i];
}

std::int32_t SegmentParts::slot_of(Modality modality, std::string_view range) const {
  for (const SegmentPart& part : of(modality)) {
    if (part.kind == PartKind::control && part.range == range) return part.first_slot;
  }
  fail(ErrorKind::internal, "internal error: ", modality_name(modality), " segments have no control \"",
       range, "\"");
}

std::int64_t SegmentParts::document_capacity(std::span<const Modality> modalities) const {
  std::int64_t positions = 2;
  for (const Modality modality : modalities) positions += span(modality);
  return positions;
}

std::vector<std::string> part_range_names() {
  std::vector<std::string> names;
  for (const SegmentPart& part : rows(SequenceLayout{})) names.emplace_back(part.range);
  return names;
}

}  // namespace omni::sequence
