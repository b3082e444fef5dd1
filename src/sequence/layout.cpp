#include "omni/sequence/layout.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/sequence/grammar.h"
#include "omni/sequence/segment_parts.h"

namespace omni::sequence {
namespace {

constexpr std::int64_t kLongestPayload = std::int64_t{1} << (kDetailBins - 1);

// Texts may do without a range: documents that leave them empty or drop them.
void check_ranges(const SequenceLayout& layout, const Vocabulary& vocabulary) {
  const SegmentParts parts(vocabulary, layout);
  for (const SegmentPart& part : parts.all()) {
    if (part.kind != PartKind::codes || part.modality == Modality::text || part.slots == 0) continue;
    if (part.token_count > 0) continue;
    fail(ErrorKind::usage, "checking the sequence layout: it has ", part.name,
         "s, but the vocabulary has no range \"", part.range, "\". Build both from the same tokenizers.");
  }
}

void check_cube(std::string_view what, std::int64_t side, std::int64_t codes) {
  if (side != 0 && side * side * side != codes) {
    fail(ErrorKind::usage, "checking the sequence layout: a cube of side ", side, " does not have ", codes,
         " ", what, " codes. Set its side to 0 for codes that are a plain sequence.");
  }
}

}  // namespace

bool SequenceLayout::offers_geometry_length(std::int64_t length) const {
  return std::find(geometry_lengths.begin(), geometry_lengths.end(), length) != geometry_lengths.end();
}

std::int64_t SequenceLayout::geometry_length_of_detail(std::int32_t bin) const {
  for (const std::int64_t length : geometry_lengths) {
    if (detail_bin(length) == bin) return length;
  }
  return 0;
}

void describe(ConfigVisitor& visitor, SequenceLayout& layout) {
  const double longest = static_cast<double>(kLongestPayload);
  visitor.integer("text_capacity", layout.text_capacity, {.minimum = 1, .maximum = longest});
  visitor.integer("image_grid_side", layout.image_grid_side, {.minimum = 0, .maximum = 181});
  visitor.integers("geometry_lengths", layout.geometry_lengths, {.minimum = 1, .maximum = longest});
  visitor.integer("geometry_grid_side", layout.geometry_grid_side, {.minimum = 0, .maximum = 32});
  visitor.integer("colour_codes", layout.colour_codes, {.minimum = 0, .maximum = longest});
  visitor.integer("colour_grid_side", layout.colour_grid_side, {.minimum = 0, .maximum = 32});
}

void check_layout(const SequenceLayout& layout, const Vocabulary& vocabulary) {
  const auto bounded = [](std::int64_t value) { return value >= 0 && value <= kLongestPayload; };
  if (layout.text_capacity < 1 || !bounded(layout.text_capacity) || !bounded(layout.image_grid_side) ||
      !bounded(layout.image_codes()) || !bounded(layout.colour_codes) ||
      !bounded(layout.geometry_grid_side) || !bounded(layout.colour_grid_side)) {
    fail(ErrorKind::usage, "checking the sequence layout: a length is outside 0 .. ", kLongestPayload,
         " or texts have no room.");
  }
  AllowedTokens details;
  std::int32_t previous = -1;
  for (const std::int64_t length : layout.geometry_lengths) {
    const std::int32_t bin = detail_bin(length);
    if (bin <= previous) {
      fail(ErrorKind::usage, "checking the sequence layout: the geometry length ", length,
           " is not above the one before it by a power of two, so that no level of detail could name it.");
    }
    details.add(bin, 1);
    previous = bin;
  }
  if (layout.colour_codes > 0 && layout.geometry_lengths.empty()) {
    fail(ErrorKind::usage,
         "checking the sequence layout: it has colour codes, but no geometry codes to colour.");
  }
  check_cube("geometry", layout.geometry_grid_side, layout.geometry_capacity());
  check_cube("colour", layout.colour_grid_side, layout.colour_codes);
  check_ranges(layout, vocabulary);
}

}  // namespace omni::sequence
