#pragma once

#include "omni/core/random.h"
#include "omni/sequence/packed_sequence.h"
#include "omni/sequence/segment_parts.h"

namespace omni::data {

// Mean shares, 0 .. 0.5.
struct InputNoise {
  double codes = 0;     // image, geometry and colour codes
  double controls = 0;  // sizes, boxes and views
};

// Shows the model wrong tokens where it will see its own in sampling: of every document, shares drawn from 0
// to twice the mean of the image and shape tokens that carry loss are replaced, as input only, by the token
// that the document before has in the same slot. Without it a model of few objects learns to know them by
// their first tokens (size and extents of the box) and no longer looks at the prompt.
// `parts` are those that the sequence was laid out with.
void add_input_noise(sequence::PackedSequence& sequence, const sequence::SegmentParts& parts,
                     InputNoise noise, CounterRng rng);

}  // namespace omni::data
