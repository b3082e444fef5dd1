#pragma once

#include "omni/core/random.h"
#include "omni/geometry/mesh.h"
#include "omni/geometry/solid_field.h"
#include "omni/tokenizers/shape_tokenizer.h"

namespace omni::tokenizers {

// Whether a mesh's triangles all lie on the surface of its solid, or some are buried in it, as where closed
// components overlap.
enum class MeshSurface { visible, partly_buried };

// What a tokenizer that asks for `input` looks at, of a shape given as a coloured mesh and as a field, both
// in the normalised frame. `rng` draws the surface points; buried ones are drawn again. Grid colours are set
// on both sides of the surface and white elsewhere. The one way from a shape to a sample: data sets, training
// and conditions in sampling all take it. Works on the calling thread alone, so samples can be made in
// parallel.
ShapeSample make_shape_sample(const geometry::Mesh& mesh, const geometry::SolidField& field,
                              const ShapeInput& input, CounterRng rng,
                              MeshSurface surface = MeshSurface::visible);

}  // namespace omni::tokenizers
