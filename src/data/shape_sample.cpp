#include "omni/data/shape_sample.h"

#include "omni/core/error.h"

namespace omni::data {

tokenizers::ShapeSample make_shape_sample(const ObjectRecord& record, const tokenizers::ShapeInput& input,
                                          CounterRng rng) {
  ensure(record.field != nullptr, "object ", record.id, " has no field");
  return tokenizers::make_shape_sample(
      record.mesh, *record.field, input, rng,
      record.partly_buried ? tokenizers::MeshSurface::partly_buried : tokenizers::MeshSurface::visible);
}

}  // namespace omni::data
