#pragma once

#include "omni/core/random.h"
#include "omni/data/object_source.h"
#include "omni/tokenizers/shape_sample.h"

namespace omni::data {

// What a tokenizer looks at, from a record. Grid: one occupancy sample per cell, at its centre; colours in
// the cells with a neighbour on the other side of the surface, white in all others. Surface points, drawn by
// `rng`: only where the mesh is not buried in itself. Runs on the calling thread.
tokenizers::ShapeSample make_shape_sample(const ObjectRecord& record, const tokenizers::ShapeInput& input,
                                          CounterRng rng);

}  // namespace omni::data
