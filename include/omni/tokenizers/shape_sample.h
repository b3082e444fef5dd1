#pragma once

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// What a tokenizer that asks for `input` looks at, of a shape given as a coloured mesh and as a field, both
// in the normalised frame. `rng` draws the surface points. The one way from a shape to a sample: data sets,
// training and conditions in sampling all take it.
ShapeSample make_shape_sample(const geometry::Mesh& mesh, const geometry::SolidField& field,
                              const ShapeInput& input, CounterRng rng);

}  // namespace omni::tokenizers
