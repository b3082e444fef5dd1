#pragma once

#include <cstdint>
#include <vector>

#include "omni/core/config.h"
#include "omni/sequence/vocabulary.h"

namespace omni::sequence {

// The payload lengths that the tokenizers of a bundle fix. With the vocabulary they make every sequence
// bounded.
struct SequenceLayout {
  std::int64_t text_capacity = 64;   // longest text payload, in tokens
  std::int64_t image_grid_side = 0;  // image codes per side; 0: no images
  // The offered numbers of geometry codes, ascending; empty: no shapes.
  std::vector<std::int64_t> geometry_lengths;
  std::int64_t geometry_grid_side = 0;  // 0: geometry codes are a sequence, not a cube of side^3
  std::int64_t colour_codes = 0;        // 0: no colour codes
  std::int64_t colour_grid_side = 0;    // 0: a sequence

  std::int64_t image_codes() const { return image_grid_side * image_grid_side; }
  std::int64_t geometry_capacity() const { return geometry_lengths.empty() ? 0 : geometry_lengths.back(); }
  bool offers_geometry_length(std::int64_t length) const;
  // The offered number of geometry codes whose detail bin is `bin`; 0 where no offered number has it.
  std::int64_t geometry_length_of_detail(std::int32_t bin) const;

  friend bool operator==(const SequenceLayout&, const SequenceLayout&) = default;
};
void describe(ConfigVisitor& visitor, SequenceLayout& layout);

// Whether the lengths are consistent (ascending, told apart by their detail bins, cubes that match their
// side) and the vocabulary has a range for each kind of code. Throws Error(usage) that says what is wrong.
void check_layout(const SequenceLayout& layout, const Vocabulary& vocabulary);

}  // namespace omni::sequence
