#pragma once

#include "omni/checkpoint/reader.h"
#include "omni/model/bundle.h"

namespace omni::model {

// Puts the averages of the weights that the checkpoint of a run holds in the place of the bundle's weights, which
// were read from it. Parameters without one keep theirs: they were not trained. Throws Error(usage) where none has
// one, Error(input) where one has another shape.
void load_averages(const checkpoint::CheckpointReader& checkpoint, Bundle& bundle);

}  // namespace omni::model
