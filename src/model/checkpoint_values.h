#pragma once

#include "omni/checkpoint/reader.h"
#include "omni/nn/parameters.h"

namespace omni::model {

// The weights of a network out of a checkpoint.

// Of a network whose values the checkpoint holds: memory without values, no more of it than the checkpoint has.
nn::ParameterStart start_of(const checkpoint::CheckpointReader& checkpoint);

// Reads every parameter. Throws Error(input) where one is missing, has another shape or is one too many.
void load_values(const checkpoint::CheckpointReader& checkpoint, nn::ParameterStore& parameters);
// Then the averages of its run in the place of these. Parameters without one keep theirs: they were not trained. Throws
// Error(usage) where none has one, Error(input) where one has another shape.
void load_averages(const checkpoint::CheckpointReader& checkpoint, nn::ParameterStore& parameters);

}  // namespace omni::model
