#pragma once

#include "omni/core/random.h"
#include "omni/sequence/packed_sequence.h"

namespace omni::data {

// Shows the model wrong tokens where it will see its own in sampling: of every document, a share drawn from
// 0 .. 2 * `share` of the image and shape tokens that carry loss is replaced, as input only, by the token
// that the document before has in the same slot. Without it a model of few objects learns to know them by
// their first tokens (the extents of the box, say) and no longer looks at the prompt.
void add_input_noise(sequence::PackedSequence& sequence, double share, CounterRng rng);

}  // namespace omni::data
