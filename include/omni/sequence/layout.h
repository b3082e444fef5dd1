#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "omni/core/config.h"
#include "omni/sequence/document.h"
#include "omni/sequence/vocabulary.h"

namespace omni::sequence {

// The payload lengths that the tokenizers of a bundle fix. With the vocabulary they make every sequence
// bounded.
struct SequenceLayout {
  std::int64_t text_capacity = 64;   // longest text payload, in tokens
  std::int64_t image_grid_side = 0;  // image codes per side; 0: no images
  std::vector<std::int64_t>
      geometry_lengths;                 // offered numbers of geometry codes, ascending; empty: no shapes
  std::int64_t geometry_grid_side = 0;  // 0: geometry codes are a sequence, not a cube of side^3
  std::int64_t colour_codes = 0;        // 0: no colour codes
  std::int64_t colour_grid_side = 0;    // 0: a sequence

  std::int64_t image_codes() const { return image_grid_side * image_grid_side; }
  std::int64_t geometry_capacity() const { return geometry_lengths.empty() ? 0 : geometry_lengths.back(); }
  // Positions that a segment takes up, used or not: so a dropped or short segment moves no later position.
  std::int64_t text_span() const { return text_capacity + 2; }
  std::int64_t image_span() const { return image_codes() + 4; }
  std::int64_t shape_span() const { return geometry_capacity() + colour_codes + 7; }
  std::int64_t span(Modality modality) const;
  // The offered number of geometry codes whose detail bin is `bin`; 0 if none is.
  std::int64_t geometry_length_of_detail(std::int32_t bin) const;
  // Positions of a whole document of these modalities at full length, with <bos> and <eos>.
  std::int64_t document_capacity(std::span<const Modality> modalities) const;

  friend bool operator==(const SequenceLayout&, const SequenceLayout&) = default;
};
void describe(ConfigVisitor& visitor, SequenceLayout& layout);

// Whether the lengths are consistent (ascending, told apart by their detail bins, cubes that match their
// side) and the vocabulary has a range for each kind of code. Throws Error(usage) that says what is wrong.
void check_layout(const SequenceLayout& layout, const Vocabulary& vocabulary);

}  // namespace omni::sequence
